"""What a lesson is made of.

A lesson is one Python module in percent-cell format.  It declares its metadata once, and registers its parts
with decorators in reading order; the command line, the tests and the learner's homework all read them here::

    from lessons.anatomy import Lesson, Run, Source, Verdict

    lesson = Lesson(name="toy", title="...", subject="foundations", source=Source(...), headline="...")

    @lesson.exercise(hint="...")                  # the body is the reference solution
    def double(x): ...

    @lesson.check("double")                       # judges a candidate
    def _(candidate): return Verdict.from_arrays("double", candidate(x), 2 * x, 1e-12)

    @lesson.mistake("double", "squares instead")  # proof that the check can fail; variant: right, and must pass
    def _(x): ...

    @lesson.question("dx", inputs=..., terms=...)  # instead of a check: the forward pass, of which the exercise
    def _(named, x, gamma): ...                    # writes the gradient; wrong terms are then named

    @lesson.step("Step 1: twice is the sum")      # also: erratum, experiment, compare
    def twice(run: Run): run.claim("2x - (x + x)", ..., below=1e-15)

Importing a lesson only registers.  Executing it cell by cell (``__main__``: VS Code, Jupyter) runs each part,
and checks each exercise, as soon as its cell is reached.
"""

from lessons.anatomy.homework import Outcome, check_file, check_functions, stub, stub_file
from lessons.anatomy.lesson import Erratum, Exercise, Lesson, LessonError, Part, Source
from lessons.anatomy.question import Expected, Hint, Question, Term
from lessons.anatomy.run import Axis, Claim, Figure, Note, Run, Section, Slider, Table
from lessons.anatomy.verdict import Verdict

__all__ = [
    "Axis",
    "Claim",
    "Erratum",
    "Exercise",
    "Expected",
    "Figure",
    "Hint",
    "Lesson",
    "LessonError",
    "Note",
    "Outcome",
    "Part",
    "Question",
    "Run",
    "Section",
    "Slider",
    "Source",
    "Table",
    "Term",
    "Verdict",
    "check_file",
    "check_functions",
    "stub",
    "stub_file",
]
