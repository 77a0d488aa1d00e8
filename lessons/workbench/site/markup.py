"""HTML as values: text is escaped unless it says that it is HTML; and the frame around every page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

# What a page may load: its own folder's files and nothing else, so that no page can reach the network.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)


class Html(str):
    """Text that is HTML already.  Every other ``str`` is escaped on its way into a page."""

    __slots__ = ()


EMPTY = Html("")

# Elements that have no content and no end tag.
_VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "col", "wbr", "source"})


def text(value: str) -> Html:
    """``value`` with ``& < > " '`` escaped; HTML stays as it is."""
    return value if isinstance(value, Html) else Html(html.escape(value, quote=True))


def joined(parts: Iterable[str], between: str = "") -> Html:
    """The parts one after the other, each escaped unless it is HTML; so is what stands between them."""
    return Html(text(between).join(text(part) for part in parts))


def element(tag: str, /, *children: str, **attributes: str | int | float | bool | None) -> Html:
    """``<tag attributes>children</tag>``.

    Children that are not `Html` are escaped, and so are the attributes' values.  An attribute's name loses a trailing
    ``_`` (``class_``) and has ``-`` for every other (``data_term``); True is an attribute without a value, and False
    or None is no attribute.
    """
    opening = f"<{tag}{_attributes(attributes)}>"
    if tag in _VOID:
        assert not children, f"<{tag}> has no content"
        return Html(opening)
    return Html(f"{opening}{joined(children)}</{tag}>")


def _attributes(attributes: dict[str, str | int | float | bool | None]) -> str:
    written = []
    for key, value in attributes.items():
        name = key.rstrip("_").replace("_", "-")
        if value is True:
            written.append(f" {name}")
        elif value is not False and value is not None:
            written.append(f' {name}="{html.escape(str(value), quote=True)}"')
    return "".join(written)


@dataclass(frozen=True)
class Link:
    """A place in the site: ``url`` is relative to its first page, as in "batchnorm.html#exercise-forward"."""

    url: str
    title: str


@dataclass(frozen=True)
class Mark:
    """Something on a page that a search should find: ``kind`` is "exercise", "term", "erratum" or "function"."""

    kind: str
    anchor: str
    text: str


@dataclass(frozen=True)
class Page:
    """One page of the site, without its frame.

    Args:
        url: relative to the site's first page: "batchnorm.html", "api/index.html".
        title: plain text.
        body: what stands in ``<main>``; its first heading is the page's only ``<h1>``.
        headings: (anchor, plain text) of the headings below it, in reading order; they are the list at its side.
        marks: what else of it can be found.
        description: one plain sentence.
        kind: the class of ``<body>``: "lesson", "index", "errata", "api".
        scripts: names in ``assets/`` of the scripts that this page needs beyond those of every page.
        previous, next: where one would read on.
    """

    url: str
    title: str
    body: Html
    headings: Sequence[tuple[str, str]] = ()
    marks: Sequence[Mark] = ()
    description: str = ""
    kind: str = "page"
    scripts: Sequence[str] = field(default=())
    previous: Link | None = None
    next: Link | None = None


SITE = "minigrad"

# The places that every page leads to.
PLACES = (Link("index.html", "Lessons"), Link("errata.html", "Errata"), Link("api/index.html", "API"))


def relative(page_url: str, target: str) -> str:
    """The link from one page to another; both are relative to the site's first page."""
    return "../" * page_url.count("/") + target


def shell(page: Page, places: Sequence[Link] = PLACES) -> str:
    """The complete HTML of a page: head, skip link, navigation, contents at the side, main, footer.

    ``places`` are the links at the top.  ``#search`` is an empty, hidden element that the search script fills: without
    JavaScript there is no box that does nothing.  Its ``data-root`` is the way from this page to the site's first one.
    """
    root = relative(page.url, "")
    head = (
        Html('<meta charset="utf-8">'),
        element("meta", **{"http-equiv": "Content-Security-Policy", "content": POLICY}),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        *([element("meta", name="description", content=page.description)] if page.description else []),
        element("title", page.title if page.title == SITE else f"{page.title} · {SITE}"),
        element("link", rel="icon", href=f"{root}assets/icon.svg", type="image/svg+xml"),
        element("link", rel="stylesheet", href=f"{root}assets/site.css"),
        *(element("script", src=f"{root}assets/{name}", defer=True) for name in _scripts(page)),
    )
    body = (
        element("a", "Skip to the text", class_="skip", href="#main"),
        _banner(page, places),
        element("div", _contents(page), element("main", page.body, id="main", tabindex=-1), class_="sheet"),
        _reading_on(page),
        _footer(),
    )
    document = element("html", element("head", *head), element("body", *body, class_=page.kind), lang="en")
    return f"<!doctype html>\n{document}\n"


def _scripts(page: Page) -> list[str]:
    return ["site.js", "search.js", *page.scripts]


def _banner(page: Page, places: Sequence[Link]) -> Html:
    links = [
        element(
            "li",
            element(
                "a",
                place.title,
                href=relative(page.url, place.url),
                aria_current="page" if place.url == page.url else None,
            ),
        )
        for place in places
    ]
    brand = element(
        "a",
        Html('<span class="nabla" aria-hidden="true">∇</span> '),
        SITE,
        class_="brand",
        href=relative(page.url, "index.html"),
    )
    navigation = element("nav", element("ul", *links), aria_label="Site")
    search = element("div", id="search", data_root=relative(page.url, ""), hidden=True)
    return element("header", brand, navigation, search, class_="banner")


def _contents(page: Page) -> Html:
    """The list of the page's sections, which the script marks with the one that is being read."""
    if len(page.headings) < 2:
        return EMPTY
    links = [element("li", element("a", title, href=f"#{anchor}")) for anchor, title in page.headings]
    inside = element("details", element("summary", "On this page"), element("ol", *links), open=True)
    return element("nav", inside, class_="contents", aria_label="On this page")


def _reading_on(page: Page) -> Html:
    ways = [
        element(
            "a",
            element("span", label, class_="way"),
            element("span", link.title, class_="where"),
            href=relative(page.url, link.url),
            rel=rel,
            class_=rel,
        )
        for label, rel, link in (("Before", "prev", page.previous), ("Next", "next", page.next))
        if link is not None
    ]
    return element("nav", *ways, class_="reading-on", aria_label="Lessons before and after") if ways else EMPTY


def _footer() -> Html:
    return element(
        "footer",
        element(
            "p",
            "Built by ",
            element("code", "minigrad site"),
            " from lessons that ran on this machine. Every "
            "number here was measured by that run. The pages load nothing from elsewhere.",
        ),
        class_="colophon",
    )
