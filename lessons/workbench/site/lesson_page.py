"""A lesson as a page: its prose at the left, at the right its code and what the run measured with it."""

from __future__ import annotations

import ast
import datetime
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lessons.anatomy import Lesson
from lessons.anatomy.text import counted
from lessons.workbench.site.anchors import exercise_anchor, lesson_url, part_anchor, term_anchor
from lessons.workbench.site.cells import Cell, cells
from lessons.workbench.site.code import Code
from lessons.workbench.site.evidence import erratum_box, section_body, summary
from lessons.workbench.site.exercises import exercise_box
from lessons.workbench.site.figures import Pictures, main_figure
from lessons.workbench.site.fingerprint import ROOT, source_file
from lessons.workbench.site.markup import EMPTY, Html, Link, Mark, Page, element, joined, text
from lessons.workbench.site.outline import Piece, pieces
from lessons.workbench.site.prose import Prose
from lessons.workbench.site.runs import StoredRun

WORDS_A_MINUTE = 200  # of prose with formulas in it
LINES_A_MINUTE = 25  # of code that is read and not only passed by


@dataclass(frozen=True)
class Names:
    """What the pages of a site may lead to: titles of lessons by their names, URLs of public functions by theirs."""

    lessons: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LessonPage:
    """A page, the files that it shows by URL, one line for each problem, its formulas and the minutes it takes."""

    page: Page
    files: Mapping[str, bytes]
    problems: Sequence[str]
    formulas: int
    minutes: int


def lesson_page(
    lesson: Lesson, run: StoredRun, names: Names, previous: Link | None = None, following: Link | None = None
) -> LessonPage:
    """The page of a lesson from its file and a run of it."""
    return _Making(lesson, run, names).page(previous, following)


def terms_of(lesson: Lesson) -> list[str]:
    """The names that equations, code and messages share: those of the steps and those of the questions."""
    of_parts = [term for part in lesson.parts for term in part.terms]
    questions = [exercise.question for exercise in lesson.exercise_list if exercise.question is not None]
    return list(dict.fromkeys([*of_parts, *(term.name for question in questions for term in question.all_terms())]))


class _Making:
    """A page while it is made."""

    def __init__(self, lesson: Lesson, run: StoredRun, names: Names) -> None:
        path = source_file(lesson)
        source = path.read_text(encoding="utf-8")
        shown = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
        self.lesson, self.run, self.path = lesson, run, path
        self.cells = cells(path)
        self.pieces = pieces(self.cells, ast.parse(source))
        self.terms = terms_of(lesson)
        self.titles = names.lessons
        functions = {f"minigrad.{name}": url for name, url in names.functions.items()}
        qualified = {name: url for name, url in names.functions.items() if "." in name}
        exercises = {exercise.name: f"#{exercise_anchor(exercise.name)}" for exercise in lesson.exercise_list}
        taken = {
            "main",
            "search",
            *map(part_anchor, (part.name for part in lesson.parts)),
            *(anchor.removeprefix("#") for anchor in exercises.values()),
            *map(term_anchor, self.terms),
        }
        others = {name: lesson_url(name) for name in names.lessons if name != lesson.name}
        self.prose = Prose(shown, self.terms, {**others, **functions, **qualified, **exercises}, taken)
        self.prose.learn([cell for cell in self.cells if cell.kind == "markdown"])
        self.code = Code(source, frozenset(self.terms), functions)
        self.pictures = Pictures(lesson.name, run.folder)
        self.sections = {section["name"]: section for section in run.report["sections"] if "name" in section}
        self.slips = (part.name for part in lesson.parts if part.name.startswith("smaller_slips"))
        self.lines_read = 0

    def page(self, previous: Link | None, following: Link | None) -> LessonPage:
        rows = joined(self._rows(), "\n")  # first, because the head says how long they take to read
        body = _with_term_anchors(joined([self._head(), rows], "\n"), self.terms)
        self.pictures.save()
        headings = [(h.anchor, h.title) for h in self.prose.headings if h.level == 2]
        page = Page(
            lesson_url(self.lesson),
            self.lesson.title,
            body,
            headings,
            self._marks(body),
            self.lesson.headline,
            "lesson",
            ("slider.js",) if self.pictures.sliders else (),
            previous,
            following,
        )
        return LessonPage(page, self.pictures.files, self.prose.problems, self.prose.formulas, self._minutes)

    def _marks(self, body: Html) -> list[Mark]:
        exercises = [
            Mark("exercise", exercise_anchor(exercise.name), exercise.name) for exercise in self.lesson.exercise_list
        ]
        errata = [Mark("erratum", part_anchor(part.name), part.title) for part in self.lesson.errata]
        terms = [Mark("term", term_anchor(term), term) for term in self.terms if f'id="{term_anchor(term)}"' in body]
        return [*exercises, *errata, *terms]

    # ---- the head

    def _head(self) -> Html:
        lesson = self.lesson
        return element(
            "header",
            element("p", lesson.subject.capitalize(), class_="subject"),
            element("h1", lesson.title),
            element("p", lesson.headline, class_="headline"),
            element("dl", *(joined([element("dt", term), element("dd", said)]) for term, said in self._facts())),
            class_="head",
        )

    def _facts(self) -> Iterator[tuple[str, Html]]:
        lesson, said = self.lesson, self.run.report
        source = lesson.source
        link = element("a", element("cite", source.title), href=source.link, rel="external noreferrer")
        yield "Rebuilds", joined([link, f" by {source.author} ({source.year})"])
        yield "Takes", joined([f"about {self._minutes} minutes to read"])
        needed = [
            element("a", self.titles[name], href=lesson_url(name)) for name in lesson.needs if name in self.titles
        ]
        if needed:
            yield "Read before", joined(needed, ", ")
        places = [(exercise_anchor(e.name), element("code", e.name)) for e in lesson.exercise_list]
        if places:
            yield "Exercises", joined([element("a", name, href=f"#{anchor}") for anchor, name in places], ", ")
        if lesson.errata:
            links = [element("a", part.title, href=f"#{part_anchor(part.name)}") for part in lesson.errata]
            yield "Errata", element("ul", *(element("li", link) for link in links))
        yield "This run", self._provenance(said)

    @property
    def _minutes(self) -> int:
        minutes = self.prose.words / WORDS_A_MINUTE + self.lines_read / LINES_A_MINUTE
        return max(5, 5 * round(minutes / 5))

    def _provenance(self, said: Mapping[str, Any]) -> Html:
        claims, failed = said["claims"], said["claims_failed"]
        verdict = f"{counted(claims, 'claim')}, all hold" if not failed else f"{failed} of {claims} claims failed"
        when = datetime.datetime.fromtimestamp((self.run.folder / "report.json").stat().st_mtime).date()
        date = element("time", f"{when:%d %B %Y}".lstrip("0"), datetime=when.isoformat())
        versions = ", ".join(f"{_PRODUCTS.get(k, k)} {v}" for k, v in said["versions"].items())
        details = f"; size {said['size']}, seed {said['seed']}, {self.run.seconds:.0f} s; {versions}"
        return joined([element("span", verdict, class_="good" if not failed else "bad"), "; ", date, details])

    # ---- rows: a cell of prose, and the code that follows it

    def _rows(self) -> Iterator[Html]:
        waiting: Html | None = None
        for k, cell in enumerate(self.cells):
            if cell.kind == "markdown":
                if waiting is not None:
                    yield _row(waiting, EMPTY)
                waiting = self.prose.render(cell, without_title=k == 0)
            else:
                ahead = self._preview() if cell.line == self._first_code else EMPTY
                yield _row(waiting or EMPTY, joined([ahead, *self._pieces(cell)], "\n"))
                waiting = None
        if waiting is not None:
            yield _row(waiting, EMPTY)

    def _preview(self) -> Html:
        item = main_figure(self.run.report["sections"])
        return EMPTY if item is None else self.pictures.preview(item)

    def _pieces(self, cell: Cell) -> Iterator[Html]:
        for piece in self.pieces[cell]:
            if piece.kind == "exercise":
                yield self._exercise(piece)
            elif piece.kind == "part":
                yield self._part(piece)
            elif piece.kind == "code":
                self.lines_read += piece.length
                yield self._code(piece)
            else:
                yield self._folded(piece, self._inside(piece))

    def _code(self, piece: Piece) -> Html:
        return self.code.render(piece.first, piece.last)

    def _folded(self, piece: Piece, said: str) -> Html:
        lines = element("span", counted(piece.length, "line"), class_="length")
        return element("details", element("summary", said, " ", lines), self._code(piece), class_="folded")

    def _exercise(self, piece: Piece) -> Html:
        exercise = self.lesson.exercise_named(piece.name)
        said = next((e for e in self.run.report.get("exercises", ()) if e["name"] == piece.name), None)
        return exercise_box(self.lesson.name, exercise, said, self._code(piece), self.prose.name, self._level)

    def _part(self, piece: Piece) -> Html:
        slips = piece.name.startswith("smaller slips")
        name = next(self.slips) if slips else piece.name
        part = next(part for part in self.lesson.parts if part.name == name)
        said = self.sections.get(name, {"items": [], "kind": part.kind, "title": part.title})
        anchor = part_anchor(name)
        title = element(self._level, part.title, id=f"{anchor}-title")
        body = section_body(said["items"], self.pictures, self.prose.name)
        if part.erratum is not None:
            box = erratum_box(said["erratum"], body, self.prose.name, title)
            inside = [element("div", box, class_="erratum"), self._code(piece)]
        elif slips:
            inside = [element("div", title, body, class_="evidence"), self._folded(piece, "The list in the lesson")]
        else:
            amount = element("span", summary(said["items"]), class_="amount")
            heading = element("div", title, amount, class_="evidence-head")
            inside = [self._code(piece), element("div", heading, body, class_="evidence")]
        self.lines_read += piece.length
        return element("section", *inside, id=anchor, class_=f"part {part.kind}", aria_labelledby=f"{anchor}-title")

    @property
    def _level(self) -> str:
        return "h3" if any(heading.level == 2 for heading in self.prose.headings) else "h2"

    # ---- what is in a fold

    def _inside(self, piece: Piece) -> str:
        if piece.kind == "imports":
            return "Imports, and the lesson's title page" if piece.first == self._first_code else "Imports"
        if piece.kind == "drawing":
            return "How the figure is drawn"
        return self._declared(piece)

    @property
    def _first_code(self) -> int:
        return next(cell.line for cell in self.cells if cell.kind == "code")

    def _declared(self, piece: Piece) -> str:
        """What a piece declares for the check: "26 wrong versions and 8 right ones of forward, staged_backward"."""

        def here(functions: Mapping[str, Callable[..., Any]]) -> int:
            return sum(self._stands_in(function, piece) for function in functions.values())

        exercises = self.lesson.exercise_list
        wrong, right = sum(here(e.mistakes) for e in exercises), sum(here(e.variants) for e in exercises)
        asked = [e.name for e in exercises if e.question and self._stands_in(e.question.forward, piece)]
        trained = [e.name for e in exercises if e.consequence and self._stands_in(e.consequence.train, piece)]
        said = [
            *([counted(wrong, "wrong version")] if wrong else []),
            *([counted(right, "other right version")] if right else []),
            *([f"the question behind {_listed(asked)}"] if asked else []),
            *([f"a training with {_listed(trained)} in it"] if trained else []),
        ]
        words = _listed(said) or "helpers of the checks"
        return words[0].upper() + words[1:] + (", declared for the check" if wrong or right else "")

    def _stands_in(self, function: Callable[..., Any], piece: Piece) -> bool:
        code = getattr(inspect.unwrap(function), "__code__", None)
        return (
            code is not None and code.co_filename == str(self.path) and piece.first <= code.co_firstlineno <= piece.last
        )


_PRODUCTS = {"python": "Python", "numpy": "NumPy"}


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1] if words else ""


def _row(prose: Html, work: Html) -> Html:
    parts = []
    if prose:
        parts.append(element("div", prose, class_="prose"))
    if work:
        parts.append(element("div", work, class_="work"))
    return element("div", *parts, class_="row")


def _with_term_anchors(body: Html, terms: Sequence[str]) -> Html:
    """Give each term its anchor where it is first explained: an equation, a hint, or the first place."""
    formulas = [found.span() for found in re.finditer(r"<math\b.*?</math>", body, flags=re.DOTALL)]
    rows = [found.span() for found in re.finditer(r'<div class="scrolls equations".*?</div>', body, flags=re.DOTALL)]
    places: list[tuple[int, str]] = []
    for term in terms:
        mark = f' data-term="{text(term)}"'
        found = [match.end() for match in re.finditer(re.escape(mark), body)]
        inside = [[k for k in found if any(a < k < b for a, b in spans)] for spans in (formulas, rows)]
        first = [group[0] for group in (*inside, found) if group]
        if first:
            places.append((first[0], f' id="{term_anchor(term)}"'))
    for place, anchor in sorted(places, reverse=True):
        body = Html(body[:place] + anchor + body[place:])
    return body
