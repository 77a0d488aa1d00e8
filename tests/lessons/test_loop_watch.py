"""A save is noticed whatever the editor does, and only when it is complete."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lessons.workbench.loop import watch
from lessons.workbench.loop.watch import Watch


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def path(tmp_path) -> Path:
    file = tmp_path / "work.py"
    file.write_bytes(b"before")
    return file


class Watched:
    """A file that is watched with a clock of our own: `after` lets time pass as the loop would."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.watch = Watch(path, self.clock)

    def after(self, seconds: float) -> list[bytes | None]:
        """What is reported while so much time passes."""
        end = self.clock.time + seconds
        found = []
        while self.clock.time <= end:
            look = self.watch.poll()
            if look is not None:
                found.append(look.content)
            self.clock.time += self.watch.pause
        return found


def rename_over(path: Path, content: bytes) -> None:
    beside = path.with_suffix(".swp")
    beside.write_bytes(content)
    os.replace(beside, path)


def delete_and_create(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def move_away_and_create(path: Path, content: bytes) -> None:
    path.rename(path.with_name("work.py~"))
    path.write_bytes(content)


@pytest.mark.parametrize("save", [Path.write_bytes, rename_over, delete_and_create, move_away_and_create])
def test_every_style_of_saving_is_noticed_once(path, save):
    watched = Watched(path)
    assert watched.after(1) == []
    save(path, b"after")
    assert watched.after(1) == [b"after"]
    save(path, b"again!")
    assert watched.after(1) == [b"again!"]
    assert watched.after(5) == []


def test_times_are_not_trusted(path):
    """Same time, same size, same inode: as on drives whose clock stands, or with an editor that restores the time."""
    watched = Watched(path)
    stamp = path.stat().st_mtime_ns
    path.write_bytes(b"AFTER!")
    os.utime(path, ns=(stamp, stamp))
    assert watched.after(1) == [b"AFTER!"]
    path.write_bytes(b"older!")
    os.utime(path, ns=(0, 0))  # back in time
    assert watched.after(1) == [b"older!"]


def test_a_save_without_a_change_is_a_save(path):
    watched = Watched(path)
    os.utime(path, ns=(1, 1))
    assert watched.after(1) == [b"before"]


def test_a_save_under_way_is_waited_for(path):
    watched = Watched(path)
    path.write_bytes(b"")  # truncated, and the editor takes its time
    assert watched.after(0.3) == []
    path.write_bytes(b"af")
    assert watched.after(0.02) == []
    path.write_bytes(b"after")
    assert watched.after(1) == [b"after"]


def test_a_file_that_is_gone_for_a_moment_is_no_news(path):
    watched = Watched(path)
    path.unlink()
    assert watched.after(0.3) == []
    path.write_bytes(b"before")
    os.utime(path, ns=(watched.watch.seen.stamp,) * 2)
    assert watched.after(1) == []


def test_a_file_that_stays_away_is_told_once_and_its_return_too(path):
    watched = Watched(path)
    path.unlink()
    assert watched.after(3) == [None]
    assert "is not there" in watched.watch.seen.problem
    path.write_bytes(b"back")
    assert watched.after(1) == [b"back"]


def test_an_empty_file_is_told_in_the_end(path):
    watched = Watched(path)
    path.write_bytes(b"")
    assert watched.after(3) == [b""]


def test_a_file_that_keeps_changing_is_told_when_it_rests(path):
    watched = Watched(path)
    for n in range(20):
        path.write_bytes(b"x" * n)
        assert watched.after(0.01) == []
    assert watched.after(1) == [b"x" * 19]


def test_what_is_no_text_file_is_a_problem_not_an_error(path):
    watched = Watched(path)
    path.unlink()
    path.mkdir()
    assert watched.after(3) == [None]
    assert "cannot read" in watched.watch.seen.problem
    path.rmdir()
    path.write_bytes(b"#" * (watch.LARGEST + 1))
    assert watched.after(3) == [None]
    assert "larger than 1 MiB" in watched.watch.seen.problem


def test_slow_drives_are_asked_less_often(path, monkeypatch):
    watched = Watched(path)
    honest = watch.look

    def slow(path):
        watched.clock.time += 0.4
        return honest(path)

    monkeypatch.setattr(watch, "look", slow)
    watched.watch.poll()
    assert watched.watch.pause == pytest.approx(2.0)
