"""Sources that more than one lesson finds errata in."""

from lessons.anatomy import Source

# The notes name neither their title nor their author; the link is the course's.
COURSE_NOTES = Source(
    title="Notes on the course Deep Learning for Computer Vision (EECS 498-007 / 598-005)",
    author="a student of the course",
    year=2019,
    link="https://web.eecs.umich.edu/~justincj/teaching/eecs498/FA2019/",
)
