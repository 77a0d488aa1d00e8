"""A docstring to HTML: paragraphs, examples, lists, and Google's sections (Args, Returns, Raises) as definition lists.

What stands in it is not Markdown: `x * y` keeps its star.  Only names in backticks and addresses mean something.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lessons.workbench.site.markup import EMPTY, Html, element, joined, text

SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Shapes", "Example", "Examples", "Note", "Source")
_HEADER = re.compile(rf"^({'|'.join(SECTIONS)}):\s*$")
_INLINE = re.compile(r"(`[^`\n]+`|https?://[^\s)>,]*[^\s)>,.;])")
_EQUATION = re.compile(r"^\w[\w\[\], ]* = .*[^.]$")  # a line that is one, and no sentence
_ENTRY = re.compile(r"^(\*{0,2}[\w.]+(?:, \*{0,2}[\w.]+)*(?: \([^)]*\))?): (.*)$")

Link = Callable[[str], str]  # where a name in backticks leads, or ""


@dataclass(frozen=True)
class Docstring:
    """A docstring in parts: its first paragraph, the rest before the sections, and the sections as they are written."""

    summary: str
    body: str
    sections: tuple[tuple[str, str], ...]


def parsed(docstring: str) -> Docstring:
    """The docstring in parts."""
    lines = inspect.cleandoc(docstring).splitlines()
    before: list[str] = []
    sections: list[tuple[str, list[str]]] = []
    after = False
    for line in lines:
        header = _HEADER.match(line)
        if header:
            after = False
            sections.append((header.group(1), []))
        elif sections and not after and (not line or line.startswith(" ")):
            sections[-1][1].append(line)
        elif sections and not after:  # text again, after a section
            after = True
            before += ["", line]
        else:
            before.append(line)
    summary, _, body = "\n".join(before).strip("\n").partition("\n\n")
    return Docstring(
        " ".join(summary.split()),
        body.strip("\n"),
        tuple((name, inspect.cleandoc("\n" + "\n".join(content))) for name, content in sections),
    )


def inline(words: str, link: Link) -> Html:
    """A line of text: names in backticks as code, with links where they lead somewhere, and addresses as links."""
    parts = []
    for part in _INLINE.split(words):
        if part.startswith("`") and part.endswith("`") and len(part) > 2:
            code, url = element("code", part[1:-1]), link(part[1:-1])
            parts.append(element("a", code, href=url) if url else code)
        elif part.startswith(("http://", "https://")):
            parts.append(element("a", part, href=part, rel="external noreferrer"))
        else:
            parts.append(text(part))
    return joined(parts)


def blocks(words: str, link: Link, example: Callable[[str], Html]) -> Html:
    """Paragraphs, lists of lines that begin with a dash, and indented examples, which `example` renders."""
    return joined(
        _block(piece, link, example) for piece in re.split(r"\n{2,}(?! )|\n\n(?=    )", words) if piece.strip()
    )


def _block(piece: str, link: Link, example: Callable[[str], Html]) -> Html:
    lines = piece.splitlines()
    if len(lines) == 1 and _EQUATION.match(piece):
        return element("p", element("code", piece))
    if all(line.startswith("    ") or not line for line in lines):
        return example(inspect.cleandoc("\n" + piece))
    if lines[0].startswith("- "):
        items = re.split(r"\n- ", piece[2:])
        return element("ul", *(element("li", inline(" ".join(i.split()), link)) for i in items))
    for i, line in enumerate(lines):
        if i and line.startswith("    "):  # an example right below its sentence
            head = element("p", inline(" ".join(lines[:i]), link))
            return joined([head, _block("\n".join(lines[i:]), link, example)])
    return element("p", inline(" ".join(lines), link))


def section(name: str, content: str, link: Link) -> Html:
    """A section: a list of names with what they mean, or plain sentences."""
    entries = list(_entries(content))
    if any(term is None for term, _ in entries) or name in ("Example", "Examples", "Note"):
        return element("p", inline(" ".join(content.split()), link))
    rows = []
    for term, meaning in entries:
        assert term is not None
        rows += [element("dt", _term(term)), element("dd", inline(meaning, link))]
    return element("dl", *rows, class_="entries")


def _term(term: str) -> Html:
    names, _, rest = term.partition(" (")
    codes = joined((element("code", n) for n in names.split(", ")), ", ")
    return joined([codes, f" ({rest}" if rest else EMPTY])


def _entries(content: str) -> Iterator[tuple[str | None, str]]:
    """(name, meaning) of each entry, which may go on in indented lines; the name is None where there is none."""
    current: list[str] = []
    for line in content.splitlines():
        if line.startswith(" ") or not line:
            current.append(line.strip())
            continue
        if current:
            yield _entry(current)
        current = [line]
    if current:
        yield _entry(current)


def _entry(lines: list[str]) -> tuple[str | None, str]:
    whole = " ".join(line for line in lines if line)
    found = _ENTRY.match(whole)
    return (found.group(1), found.group(2)) if found else (None, whole)
