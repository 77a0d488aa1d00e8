"""What a build looks for in the pages that it made, and what it says when a library is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from lessons.workbench.errors import UsageError
from lessons.workbench.site import build as building
from lessons.workbench.site.build import SHOWN, SiteError, dead_ends, require_libraries, weights

INDEX = b'<link rel="stylesheet" href="assets/site.css"><h1 id="top">x</h1><a href="api/exp.html#code">e</a>'
EXP = b'<h1 id="code">exp</h1><a href="../index.html#top">up</a><a href="https://pytorch.org">torch</a>'


def test_links_that_lead_somewhere_are_no_problem() -> None:
    assert dead_ends({"index.html": INDEX, "api/exp.html": EXP, "assets/site.css": b""}) == []


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (b'<a href="gone.html">', "index.html: the link to gone.html leads nowhere"),
        (b'<img src="figures/gone.svg">', "index.html: the link to figures/gone.svg leads nowhere"),
        (b'<a href="api/exp.html#gone">', "index.html: api/exp.html has no place called gone"),
        (b'<a href="#gone">', "index.html: index.html has no place called gone"),
        (b'<p id="a"><p id="b"><p id="a">', 'index.html: the id "a" stands there 2 times'),
    ],
)
def test_a_dead_end_is_named(page: bytes, said: str) -> None:
    assert dead_ends({"index.html": page, "api/exp.html": b'<h1 id="code">'}) == [said]


def test_a_frame_of_a_slider_and_a_font_that_are_not_there_are_named() -> None:
    page = INDEX + b'<figure data-frames="figures/f0.webp figures/f1.webp"></figure>'
    files = {"index.html": page, "api/exp.html": EXP, "figures/f0.webp": b""}
    files["assets/site.css"] = b'@font-face { src: url("m.woff2") }'
    assert dead_ends(files) == [
        "index.html loads assets/m.woff2, which is not there",
        "index.html loads figures/f1.webp, which is not there",
    ]


def test_the_weight_of_a_page_counts_all_that_it_loads() -> None:
    files = {
        "index.html": b'<link rel="stylesheet" href="assets/site.css"><script src="assets/site.js"></script>'
        b'<img src="figures/a.svg"><figure data-frames="figures/f0.webp figures/f1.webp"></figure>',
        "api/exp.html": b'<link rel="stylesheet" href="../assets/site.css">',
        "assets/site.css": b'@font-face { src: url("m.woff2") }',
        "assets/site.js": b"1" * 10,
        "assets/m.woff2": b"f" * 1000,
        "figures/a.svg": b"s" * 100,
        "figures/f0.webp": b"w" * 20,
        "figures/f1.webp": b"w" * 30,
    }
    style = len(files["assets/site.css"]) + 1000
    expected = {
        "index.html": len(files["index.html"]) + style + 10 + 100 + 20 + 30,
        "api/exp.html": len(files["api/exp.html"]) + style,
    }
    assert weights(files) == expected


def test_a_missing_library_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "EXTRA", ("json", "no_such_library"))
    with pytest.raises(UsageError, match=r"the site needs no_such_library.*pip install \"minigrad\[site\]\""):
        require_libraries()


def test_nothing_is_written_when_something_cannot_be_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("latex2mathml", reason="pages need the extra: pip install 'minigrad[site]'")
    monkeypatch.setattr(building, "_make", lambda found, listed: building._Made({"index.html": b""}, ["a:1: bad"]))
    with pytest.raises(SiteError, match="a:1: bad"):
        building.build([], tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_long_list_of_problems_is_cut() -> None:
    said = str(SiteError([f"problem {k}" for k in range(SHOWN + 5)]))
    assert f"problem {SHOWN - 1}" in said
    assert f"problem {SHOWN}\n" not in said
    assert said.endswith("... and 5 more")
