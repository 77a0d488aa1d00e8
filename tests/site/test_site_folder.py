"""The site's folder: only what a build made is replaced or removed."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest

from lessons.workbench.errors import UsageError
from lessons.workbench.site import folder
from lessons.workbench.site.folder import check_folder, write_site

SITE = {"index.html": b"<p>one", "api/exp.html": b"<p>exp", "assets/site.css": b"p {}"}


def listing(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_a_second_build_writes_what_changed_and_removes_what_is_gone(tmp_path: Path) -> None:
    out = tmp_path / "site"
    assert write_site(out, SITE) == (3, 0)
    assert listing(out) == {*SITE, folder.LIST}
    assert write_site(out, SITE) == (0, 0)
    assert write_site(out, {"index.html": b"<p>two", "assets/site.css": b"p {}"}) == (1, 1)
    assert (out / "index.html").read_bytes() == b"<p>two"
    assert listing(out) == {"index.html", "assets/site.css", folder.LIST}
    assert not (out / "api").exists()


def test_a_file_that_somebody_changed_is_made_again(tmp_path: Path) -> None:
    write_site(tmp_path, SITE)
    (tmp_path / "index.html").write_bytes(b"<p>oops")
    assert write_site(tmp_path, SITE) == (1, 0)
    assert (tmp_path / "index.html").read_bytes() == SITE["index.html"]


@pytest.mark.parametrize("name", ["thesis.tex", "api/notes.txt", "index.html"])
def test_files_of_others_stop_the_build_and_stay(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"has files that `minigrad site` did not make"):
        write_site(tmp_path, SITE)
    assert listing(tmp_path) == {name}
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="is a file"):
        check_folder(tmp_path / "site")


@pytest.mark.parametrize("damage", [b"", b"{", b'{"files": 3}', b'{"files": {"../outside": "x", "index.html": "x"}}'])
def test_a_damaged_list_never_removes_what_lies_outside(tmp_path: Path, damage: bytes) -> None:
    out = tmp_path / "site"
    write_site(out, {"index.html": b"x"})
    (tmp_path / "outside").write_text("mine", encoding="utf-8")
    (out / folder.LIST).write_bytes(damage)
    with contextlib.suppress(UsageError):  # it no longer knows its own page, and says so
        write_site(out, {"index.html": b"y"})
    assert (tmp_path / "outside").read_text(encoding="utf-8") == "mine"


def test_a_build_that_is_interrupted_is_taken_up_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = folder.write_atomically

    def until_a_page(path: Path, content: bytes) -> None:
        if path.suffix == ".html":
            raise KeyboardInterrupt
        whole(path, content)

    monkeypatch.setattr(folder, "write_atomically", until_a_page)
    with pytest.raises(KeyboardInterrupt):
        write_site(tmp_path, SITE)
    monkeypatch.undo()
    assert (tmp_path / "assets/site.css").is_file()
    assert not list(tmp_path.rglob("*.html"))  # pages come after what they show
    write_site(tmp_path, {"index.html": b"<p>three"})
    assert listing(tmp_path) == {"index.html", folder.LIST}
    assert set(json.loads((tmp_path / folder.LIST).read_bytes())["files"]) == {"index.html"}


@pytest.mark.parametrize("url", ["../up.html", "/etc/passwd", ".hidden", "api/.hidden", "a\\b.html", ""])
def test_addresses_stay_inside_and_plain(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="cannot be a file of the site"):
        write_site(tmp_path / "site", {url: b"x"})
    assert not (tmp_path / "site").exists()


def test_two_addresses_must_not_differ_by_case_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one file where case does not count"):
        write_site(tmp_path, {"api/Tensor.html": b"x", "api/tensor.html": b"y"})


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_a_link_in_the_folder_is_foreign(tmp_path: Path) -> None:
    write_site(tmp_path / "site", {"index.html": b"x"})
    (tmp_path / "site" / "out").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="did not make: out@"):
        write_site(tmp_path / "site", {"index.html": b"x"})
