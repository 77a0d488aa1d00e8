"""Sources that more than one lesson rebuilds or finds errata in."""

from lessons.anatomy import Source

# The notes name neither their title nor their author; the link is the course's.
COURSE_NOTES = Source(
    title="Notes on the course Deep Learning for Computer Vision (EECS 498-007 / 598-005)",
    author="a student of the course",
    year=2019,
    link="https://web.eecs.umich.edu/~justincj/teaching/eecs498/FA2019/",
)

AUTOENCODER_FAMILY = Source(
    title="The autoencoder family",
    author="Jae-Won Chung",
    year=2019,
    link="https://jaewonchung.me/study/machine-learning/Autoencoders",
)

DIFFERENTIABLE_PROGRAMMING = Source(
    title="Differentiable Programming: Computing source-code derivatives",
    author="Ayan Das",
    year=2020,
    link="https://ayandas.me/blog-tut/2020/09/08/differentiable-programming",
)
