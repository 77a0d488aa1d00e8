"""`minigrad site`: what it says, its exit codes, serving, and building again on every change."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lessons.workbench import progress
from lessons.workbench.cli import main
from lessons.workbench.errors import UsageError
from lessons.workbench.site import build as building
from lessons.workbench.site import command
from lessons.workbench.site.runs import StoredRun
from lessons.workbench.site.watch import Tree, in_child, watch

Build = Callable[..., SimpleNamespace]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(building, "EXTRA", ("json",))  # these tests need none of the libraries


def run_of(name: str, reason: str = "", failed: int = 0, kept: bool = True) -> StoredRun:
    report = {"passed": not failed, "claims": 7, "claims_failed": failed}
    return StoredRun(name, report, Path(), bool(reason), reason, 3.21, kept)


def stand_in(*runs: StoredRun) -> Build:
    """A build that finds these runs and writes one page."""

    def build(lessons: Any, out: Path, size: str, *, fresh: bool, before: Any, after: Any) -> SimpleNamespace:
        for run in runs:
            if run.was_stale:
                before(SimpleNamespace(name=run.lesson), run.reason)
            after(run)
        out.mkdir(exist_ok=True)
        (out / "index.html").write_text(f"{size} {fresh}\n", encoding="utf-8")
        return SimpleNamespace(pages=3, total=1_234_567, seconds=0.5)

    return build


def install(monkeypatch: pytest.MonkeyPatch, build: Build) -> None:
    monkeypatch.setattr(building, "build", build)


# ---- one build


def test_it_says_which_lessons_ran_and_why(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    install(monkeypatch, stand_in(run_of("batchnorm", "lesson changed"), run_of("vae"), run_of("rnn")))
    assert main(["site", "batchnorm", "vae", "rnn", "vae"]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "batchnorm: run in 3.2 s (lesson changed)",
        "Unchanged since they ran: vae, rnn",
        f"Built 3 lessons, 3 pages, 1.2 MB, in 0.5 s: {Path('minigrad-site/index.html')}",
    ]
    assert captured.err == ""  # no bar where nothing can move
    assert Path("minigrad-site/index.html").read_text(encoding="utf-8") == "quick False\n"


def test_its_options_reach_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, stand_in(run_of("vae")))
    assert main(["site", "vae", "--size", "default", "--fresh", "--out", "there"]) == 0
    assert Path("there/index.html").read_text(encoding="utf-8") == "default True\n"


def test_a_failed_claim_gives_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    install(monkeypatch, stand_in(run_of("batchnorm", "new", failed=2), run_of("vae")))
    assert main(["site"]) == 1
    assert "batchnorm: 2 claims of 7 failed" in capsys.readouterr().out


def test_runs_that_cannot_be_kept_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, stand_in(run_of("batchnorm", "new", kept=False)))
    assert main(["site"]) == 0
    assert "cannot be kept, so the next build repeats them: batchnorm" in capsys.readouterr().out


def test_what_cannot_be_built_is_one_message_and_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(*_: object, **__: object) -> SimpleNamespace:
        raise UsageError("lessons/vision/batchnorm.py:357: \\foo is no macro")

    install(monkeypatch, build)
    assert main(["site"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "minigrad: lessons/vision/batchnorm.py:357: \\foo is no macro\n"
    assert captured.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["btchnorm"], "did you mean batchnorm?"),
        (["--size", "huge"], "invalid choice: 'huge'"),
        (["--port", "8000"], "so it needs --serve"),
        (["--serve", "--port", "65536"], "must be from 0 to 65535"),
        (["--serve", "--port", "-1"], "must be a non-negative integer"),
    ],
)
def test_usage_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    install(monkeypatch, stand_in(run_of("vae")))
    assert main(["site", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(building, "EXTRA", ("json", "no_such_library"))
    assert main(["site"]) == 2
    said = capsys.readouterr().err
    assert "no_such_library" in said
    assert 'pip install "minigrad[site]"' in said


def test_a_port_that_is_taken_is_known_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, stand_in(run_of("vae")))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["site", "--serve", "--port", str(port)]) == 2
    assert f"--port {port}: cannot listen there" in capsys.readouterr().err
    assert not Path("minigrad-site").exists()


def test_the_bar_says_which_lesson_runs_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "moves", lambda stream: True)
    install(monkeypatch, stand_in(run_of("vae"), run_of("batchnorm", "lesson changed")))
    assert main(["site"]) == 0
    drawn = [line.rstrip() for line in screen.getvalue().split("\r")]
    assert any(re.match(r"batchnorm: lesson ch.* 1/\d+", line) for line in drawn), drawn
    assert screen.getvalue().endswith("\n")


@pytest.mark.parametrize(("count", "said"), [(0, "0 kB"), (999_400, "999 kB"), (7_349_000, "7.3 MB")])
def test_sizes_are_for_people(count: int, said: str) -> None:
    assert command.size_of(count) == said


def test_a_browser_is_opened_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(command.webbrowser, "open", opened.append)
    install(monkeypatch, stand_in(run_of("vae")))
    main(["site"])
    assert opened == []
    main(["site", "--open"])
    assert opened == [Path("minigrad-site/index.html").resolve().as_uri()]


# ---- serving

# The command as a program, with the stand-in for the build; a background shell may have made us ignore SIGINT.
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {tests!r})
import test_site_command as t
from lessons.workbench.cli import main
from lessons.workbench.site import build
build.EXTRA, build.build = ("json",), t.stand_in(t.run_of("vae"))
sys.exit(main(sys.argv[1:]))
"""


OURS = {**os.environ, "PYTHONPATH": str(command.ROOT)}  # the packages that are tested, whatever is installed


def interrupt(process: subprocess.Popen[str]) -> str:
    """What a process says on its way out after Ctrl-C, pressed again if Python lost the first one in a destructor."""
    while True:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=20)[1]
        assert process.poll() is None, "it has ended, but something that it started still holds its pipes"


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_it_serves_until_ctrl_c_and_ends_quietly() -> None:
    code = PROGRAM.format(tests=str(Path(__file__).parent))
    with subprocess.Popen(
        [sys.executable, "-c", code, "site", "--serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=OURS,
    ) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("Serving"))
        address = line.split()[1]
        with urllib.request.urlopen(address) as answer:
            assert answer.read() == b"quick False\n"
        assert interrupt(process) == ""
        assert process.returncode == 130


# ---- watching


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Tree, Path, Clock]:
    folder = tmp_path / "package"
    (folder / "inner").mkdir(parents=True)
    (folder / "lesson.py").write_text("1", encoding="utf-8")
    (folder / "inner" / "style.css").write_text("1", encoding="utf-8")
    clock = Clock()
    return Tree([folder, tmp_path / "own.py"], clock), folder, clock


def changes(tree: Tree, clock: Clock) -> list[str]:
    """The names of what has changed, when all has been still for a while."""
    tree.poll()
    clock.now += 1
    return [path.name for path in tree.poll()]


def test_nothing_changes_by_itself(tree: tuple[Tree, Path, Clock]) -> None:
    watched, _, clock = tree
    assert changes(watched, clock) == []
    assert watched.pause >= 0.3


def test_edits_new_files_and_removals_are_seen_once(tree: tuple[Tree, Path, Clock]) -> None:
    watched, folder, clock = tree
    (folder / "lesson.py").write_text("22", encoding="utf-8")
    assert changes(watched, clock) == ["lesson.py"]
    assert changes(watched, clock) == []
    (folder / "new.py").write_text("", encoding="utf-8")
    (folder.parent / "own.py").write_text("", encoding="utf-8")
    assert changes(watched, clock) == ["own.py", "new.py"]
    (folder / "inner" / "style.css").unlink()
    assert changes(watched, clock) == ["style.css"]


def test_a_save_of_the_same_length_is_seen_by_its_time(tree: tuple[Tree, Path, Clock]) -> None:
    watched, folder, clock = tree
    os.utime(folder / "lesson.py", ns=(1, 1))
    assert changes(watched, clock) == ["lesson.py"]


def test_a_save_counts_when_it_is_complete(tree: tuple[Tree, Path, Clock]) -> None:
    watched, folder, clock = tree
    (folder / "lesson.py").write_text("", encoding="utf-8")  # an editor has emptied the file
    assert watched.poll() == []
    assert watched.pause < 0.3
    clock.now += 0.1
    (folder / "lesson.py").write_text("all of it", encoding="utf-8")
    assert watched.poll() == []
    clock.now += 0.1
    assert watched.poll() == []  # still too soon
    clock.now += 0.1
    assert [path.name for path in watched.poll()] == ["lesson.py"]


def test_what_was_undone_in_time_is_no_change(tree: tuple[Tree, Path, Clock]) -> None:
    watched, folder, clock = tree
    (folder / "new.py").write_text("", encoding="utf-8")
    assert watched.poll() == []
    (folder / "new.py").unlink()
    assert changes(watched, clock) == []


@pytest.mark.parametrize("name", ["__pycache__/a.pyc", ".git/index", ".lesson.py.swp", "lesson.py~", "#lesson.py#"])
def test_what_editors_and_python_keep_for_themselves_is_nothing(tree: tuple[Tree, Path, Clock], name: str) -> None:
    watched, folder, clock = tree
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("x", encoding="utf-8")
    assert changes(watched, clock) == []


def test_it_goes_on_after_a_build_that_failed_and_builds_what_was_changed_meanwhile(tmp_path: Path) -> None:
    lesson = tmp_path / "lesson.py"
    lesson.write_text("", encoding="utf-8")
    builds: list[str] = []
    said: list[str] = []

    def build() -> int:
        builds.append(lesson.read_text(encoding="utf-8"))
        if len(builds) == 3:
            raise KeyboardInterrupt
        lesson.write_text(lesson.read_text(encoding="utf-8") + "x", encoding="utf-8")  # edited during the build
        return 2

    with pytest.raises(KeyboardInterrupt):
        watch(Tree([tmp_path]), build, said.append)
    assert builds == ["", "x", "xx"]
    assert said == ["lesson.py changed", "lesson.py changed"]


def test_each_build_of_a_watch_is_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[list[str]] = []
    codes = iter([0, 2, 1])

    def child(arguments: list[str], root: Path) -> int:
        calls.append(arguments)
        assert (root / "lessons" / "workbench").is_dir()
        return next(codes)

    def three_times(tree: Tree, build: Callable[[], object], say: Callable[[str], None]) -> None:
        for _ in range(3):
            build()
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "in_child", child)
    monkeypatch.setattr(command, "watch", three_times)
    assert main(["site", "vae", "--watch", "--fresh", "--out", "there"]) == 130
    again = ["site", "vae", "--size", "quick", "--out", "there"]
    assert calls == [[*again, "--fresh"], again, again]  # all runs are fresh once, not at every change
    said = capsys.readouterr()
    assert said.out.count("Not built.") == 1
    assert said.err == ""


def test_only_builds_that_succeeded_make_pages_load_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(command, "in_child", lambda arguments, root: [0, 2, 1][len(shown) // 2])
    monkeypatch.setattr(command.Server, "show_new_build", lambda self: shown.append("new"), raising=True)

    def builds(tree: Tree, build: Callable[[], object], say: Callable[[str], None]) -> None:
        for _ in range(3):
            build()
            shown.append("built")
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "watch", builds)
    monkeypatch.setattr(command, "listen", lambda out, port, live: command.Server(out, 0, live))
    monkeypatch.setattr(command.Server, "build", "", raising=False)
    main(["site", "--watch", "--serve"])
    assert shown == ["new", "new", "built", "built", "new", "built"]


def test_a_child_builds_with_the_files_as_they_are_now(capfd: pytest.CaptureFixture[str]) -> None:
    Path("lessons").mkdir()  # a folder of the learner's that happens to have our name
    Path("lessons/__main__.py").write_text("raise SystemExit(77)", encoding="utf-8")
    expected = 0 if sys.version_info >= (3, 11) else 77  # older ones always look into the current folder first
    assert in_child(["--version"], command.ROOT) == expected
    assert in_child(["nonsense"], command.ROOT) in (2, expected)
    capfd.readouterr()


FOREVER = """
from lessons.anatomy import Lesson, Source
lesson = Lesson("forever", "Forever", "none", Source("T", "A", 2000, "https://example.org"), "none")

@lesson.step("forever")
def forever(run):
    print("begun", flush=True)
    while True:
        pass
"""

PARENT = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
from lessons.workbench.site.watch import in_child
try:
    in_child(["run", "forever.py", "--quick"], Path({root!r}))
except KeyboardInterrupt:
    print("parent ends", file=sys.stderr)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_ends_the_child_before_the_parent() -> None:
    Path("forever.py").write_text(FOREVER, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.format(root=str(command.ROOT))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=OURS,
    ) as process:
        assert process.stdout is not None
        while "begun" not in process.stdout.readline():
            assert process.poll() is None
        said = interrupt(process)  # it returns when nobody holds the pipe any longer: neither parent nor child
    assert "Traceback" not in said
    assert said.rstrip().endswith("parent ends")
