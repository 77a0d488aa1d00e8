"""The whole site into a folder: what changed is written, what is no longer made is removed, nothing is half-made."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lessons.anatomy import Lesson
from lessons.workbench.errors import UsageError
from lessons.workbench.loop.course import in_order
from lessons.workbench.site import runs
from lessons.workbench.site.anchors import lesson_url
from lessons.workbench.site.folder import check_folder, write_site
from lessons.workbench.site.markup import Link, Page, shell
from lessons.workbench.site.runs import StoredRun

ASSETS = Path(__file__).with_name("assets")
EXTRA = ("markdown_it", "mdit_py_plugins", "pygments", "latex2mathml")
SHOWN = 40  # problems that are worth reading before repairing the first


class SiteError(UsageError):
    """Something in the lessons cannot be shown; ``problems`` has a line for each, with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        more = [f"... and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        super().__init__("\n".join(["the site is not built:", *problems[:SHOWN], *more]))


@dataclass(frozen=True)
class Built:
    """What was built.

    ``weights`` has, for each page by its URL, the bytes of the page and of everything that it loads; ``total`` those of
    the whole site; ``written`` and ``removed`` how many files changed; ``stale`` the runs that had to be made.
    """

    out: Path
    pages: int
    formulas: int
    weights: Mapping[str, int]
    total: int
    written: int
    removed: int
    stale: Sequence[StoredRun]
    seconds: float


def build(
    lessons: Sequence[Lesson],
    out: Path,
    size: str = "quick",
    *,
    fresh: bool = False,
    before: Callable[[Lesson, str], None] | None = None,
    after: Callable[[StoredRun], None] | None = None,
) -> Built:
    """Build the site of these lessons in the folder ``out``.

    Lessons run first where their stored runs are out of date (all of them if ``fresh``): ``before`` is called with a
    lesson and the reason before it runs, ``after`` with the run of each lesson, new or not.  Claims that fail do not
    stop the build; the pages show them.

    Raises:
        SiteError: a formula cannot be shown as it is meant, a link leads nowhere, ...; nothing is written then.
        UsageError: the libraries of the extra ``site`` are missing, ``out`` holds files of others, a lesson cannot run.
    """
    start = time.perf_counter()
    require_libraries()
    check_folder(out)
    ordered = in_order(lessons)
    found: list[tuple[Lesson, StoredRun]] = []
    for lesson in ordered:
        run = runs.stored(lesson, size, fresh, before or (lambda lesson, reason: None))
        found.append((lesson, run))
        if after is not None:
            after(run)
    with _no_collection():
        made = _make(found, [lesson.name for lesson in lessons])
    if made.problems:
        raise SiteError(made.problems)
    written, removed = write_site(out, made.files)
    return Built(
        out,
        sum(url.endswith(".html") for url in made.files),
        made.formulas,
        weights(made.files),
        sum(map(len, made.files.values())),
        written,
        removed,
        [run for _, run in found if run.was_stale],
        time.perf_counter() - start,
    )


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Leave the garbage collector out, which finds nothing in a million small values and takes a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def require_libraries() -> None:
    """Raise `UsageError` when a library that pages are made with is not installed."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the site needs {' and '.join(missing)}, which the extra `site` installs: "
            'pip install "minigrad[site]", or in a clone of the repository: pip install -e ".[site]"'
        )


# ---- making everything in memory


@dataclass
class _Made:
    """The files of a site by URL, and what is wrong with them."""

    files: dict[str, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    formulas: int = 0


def _make(found: Sequence[tuple[Lesson, StoredRun]], listed: Sequence[str]) -> _Made:
    """All files of the site of these lessons, which are given as one reads them; ``listed``: as the first page does."""
    # Imported here: these need the libraries whose absence `require_libraries` explains.
    from lessons.workbench.site import api, search
    from lessons.workbench.site.errata_page import errata_page
    from lessons.workbench.site.figures import thumbnail
    from lessons.workbench.site.index_page import Card, index_page
    from lessons.workbench.site.lesson_page import Names, lesson_page

    made = _Made(dict(_assets()))
    lessons = [lesson for lesson, _ in found]
    names = Names({lesson.name: lesson.title for lesson, _ in found}, api.urls())
    pages: list[Page] = []
    cards: list[Card] = []
    for k, (lesson, run) in enumerate(found):
        before = _link(found[k - 1][0]) if k > 0 else None
        following = _link(found[k + 1][0]) if k + 1 < len(found) else None
        result = lesson_page(lesson, run, names, before, following)
        pages.append(result.page)
        made.files.update(result.files)
        made.problems += result.problems
        made.formulas += result.formulas
        picture = thumbnail(lesson.name, run.folder, run.report["sections"])
        if picture is not None:
            made.files[picture.url] = picture.content
        cards.append(Card(lesson, run, result.minutes, picture))
    cards.sort(key=lambda card: listed.index(card.lesson.name))
    pages = [index_page(cards), errata_page(found), *pages, *api.api_pages(made.problems.append, lessons)]
    for page in pages:
        if page.url in made.files:
            made.problems.append(f"{page.url}: two pages want this address")
        made.files[page.url] = shell(page).encode()
    made.files["assets/search-index.js"] = search.index_script(pages).encode()
    made.problems += dead_ends(made.files)
    return made


def _link(lesson: Lesson) -> Link:
    return Link(lesson_url(lesson), lesson.title)


def _assets() -> Iterator[tuple[str, bytes]]:
    """The files of assets/; rules for formulas, in maths.css, follow those for everything else in one style sheet."""
    for path in sorted(ASSETS.iterdir()):
        if path.is_file() and not path.name.startswith(".") and path.suffix not in (".css", ".md"):
            yield f"assets/{path.name}", path.read_bytes()
    sheets = [ASSETS / "site.css", *sorted(path for path in ASSETS.glob("*.css") if path.name != "site.css")]
    yield "assets/site.css", b"\n".join(path.read_bytes() for path in sheets)


# ---- looking at what was made

_ID = re.compile(rb'\sid="([^"]*)"')
_LINK = re.compile(rb'\s(?:href|src)="([^"]*)"')
_LOADED = re.compile(rb'<(?:img|script|source)\b[^>]*?\s(?:src|srcset)="([^"]+)"|<link\b[^>]*?\shref="([^"]+)"')
_FRAMES = re.compile(rb'\sdata-frames="([^"]+)"')
_IN_STYLE = re.compile(rb'url\(["\']?([^"\')]+)["\']?\)')


def dead_ends(files: Mapping[str, bytes]) -> list[str]:
    """A line for each link to a file or place that is not there, and for each name of a place that is given twice."""
    pages = {url: content for url, content in files.items() if url.endswith(".html")}
    places = {url: _ID.findall(content) for url, content in pages.items()}
    known = {url: set(ids) for url, ids in places.items()}
    problems = [
        f'{url}: the id "{name.decode()}" stands there {ids.count(name)} times'
        for url, ids in places.items()
        if len(ids) != len(known[url])
        for name in sorted(known[url])
        if ids.count(name) > 1
    ]
    for url, content in pages.items():
        for link in sorted(set(_LINK.findall(content))):
            address = link.decode().replace("&amp;", "&")
            if "://" in address or address.startswith("mailto:"):
                continue
            target, _, anchor = address.partition("#")
            target = _resolved(url, target)
            if target not in files:
                problems.append(f"{url}: the link to {address} leads nowhere")
            elif anchor and anchor.encode() not in known.get(target, ()):
                problems.append(f"{url}: {target} has no place called {anchor}")
        linked = {_resolved(url, link.decode()) for link in _LINK.findall(content)}
        missing = sorted(_loads(url, files) - linked - set(files))
        problems.extend(f"{url} loads {name}, which is not there" for name in missing)
    return problems


def _resolved(page: str, target: str) -> str:
    """The URL, from the site's first page on, of a link in ``page``."""
    if not target:
        return page
    parts = page.split("/")[:-1]
    for part in target.split("/"):
        if part == "..":
            del parts[-1:]
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _loads(url: str, files: Mapping[str, bytes]) -> set[str]:
    """What a page loads: the style sheet with its fonts, scripts, figures, and the frames that a slider shows."""
    content, style = files[url], "assets/site.css"
    loaded = [one or other for one, other in _LOADED.findall(content)]
    loaded += [frame for frames in _FRAMES.findall(content) for frame in frames.split()]
    found = {_resolved(url, link.decode()) for link in loaded}
    if style in found:
        found |= {_resolved(style, link.decode()) for link in _IN_STYLE.findall(files.get(style, b""))}
    return found


def weights(files: Mapping[str, bytes]) -> dict[str, int]:
    """For each page the bytes of itself and of all that it loads."""
    return {
        url: len(content) + sum(len(files.get(name, b"")) for name in _loads(url, files))
        for url, content in files.items()
        if url.endswith(".html")
    }
