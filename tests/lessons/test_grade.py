"""A class of attackers is graded: each gets its own status, the honest ones their marks, and the machine no harm.

Every attack here is bounded by itself, should nothing contain it: loops end after a minute, a forker stops at 64
children, an allocator does not touch what it gets, a socket talks to this machine only.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lessons.workbench.cli import main
from lessons.workbench.grade import batch, report, students, summary
from lessons.workbench.sandbox import Limits

TOY = str(Path(__file__).with_name("toy.py"))
ROOT = Path(__file__).resolve().parents[2]

HEAD = "import os, socket, sys, threading, time\nimport numpy as np\n"
RIGHT = "def halves(x): return np.maximum(x, 0), np.minimum(x, 0)\n"
HONEST = f"{HEAD}def double(x, times=1): return x * 2**times\n{RIGHT}"


def attack(body: str, before: str = "") -> str:
    """A file whose `double` does this; its `halves` is right, and must be graded so all the same."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"{HEAD}{before}\ndef double(x, times=1):\n{lines}\n{RIGHT}"


WAIT = "end = time.time() + 60\nwhile time.time() < end: pass\n"
EVIL_OBJECT = """
class Evil:
    def __reduce__(self): return open, (OUT, "w")
    def __array__(self, *args, **kwargs): open(OUT, "w"); return np.zeros(1)
    def __eq__(self, other): return True
"""
PATCHES = """
import lessons.anatomy
np.abs = np.subtract = np.asarray = np.count_nonzero = lambda *args, **kwargs: np.zeros(())
for module in list(sys.modules.values()):
    for name in ("check_one", "from_arrays", "Verdict"):
        if hasattr(module, name): setattr(module, name, lambda *args, **kwargs: True)
"""
FORKS = """
pids = []
try:
    for _ in range(64):
        pid = os.fork()
        if pid == 0:
            os.setsid()
            time.sleep(60)
            os._exit(0)
        pids.append(pid)
finally:
    open(SCRATCH, "w").write(str(pids))
"""
# The name of each attacker, the file, and the statuses that `double` may get: several where it depends on the system.
ATTACKS: dict[str, tuple[str, set[str]]] = {
    "honest": (HONEST, {"passed"}),
    "wrong": (attack("return x"), {"failed"}),
    "hangs": (attack(WAIT), {"timeout"}),
    "hangs-in-c": (attack("threading.Lock().acquire() and threading.Event().wait(60)"), {"timeout"}),
    "hangs-on-load": (HEAD + WAIT, {"timeout"}),
    "forks": (attack(FORKS, "SCRATCH = 'pids'"), {"error", "failed", "timeout"}),
    "allocates": (attack("return np.zeros(50 * 10**9 // 8)"), {"memory"}),
    "allocates-in-pieces": (attack("return [np.zeros(10**7) for _ in range(600)]"), {"memory"}),
    "writes": (attack("open(OUT, 'w').write('x')\nreturn 4 * x"), {"error", "passed"}),
    "sockets": (attack("socket.create_connection(('127.0.0.1', PORT), 5)\nreturn 4 * x"), {"error", "passed"}),
    "floods": (attack("for _ in range(10**5): print('x' * 10**4)\nreturn 4 * x"), {"output"}),
    "exits": (attack("os._exit(0)"), {"crash"}),
    "exits-on-load": (HEAD + "os._exit(0)", {"crash"}),
    "crashes": (attack("import ctypes\nctypes.string_at(0)"), {"crash"}),
    "patches": (attack("return x", PATCHES), {"failed", "not loadable"}),
    "patches-numpy": (attack("return x", PATCHES.replace("import lessons.anatomy", "")), {"failed", "crash"}),
    "evil-object": (attack("return Evil()", EVIL_OBJECT), {"failed"}),
    "evil-array": (
        attack("return np.array([Evil()] * 6, dtype=object).reshape(2, 3)", EVIL_OBJECT),
        {"failed", "error"},
    ),
    "evil-subclass": (
        attack("return x.view(Sub)", "class Sub(np.ndarray):\n    def __array_ufunc__(self, *a, **k): return True\n"),
        {"failed"},
    ),
    "kills": (attack("os.kill(GRADER, 9) if GRADER else None"), {"error"}),
    "closes": (attack("os.closerange(0, 200)\n" + WAIT), {"crash", "timeout"}),
    "forges": (
        attack("for fd in range(3, 30):\n    try: os.write(fd, b'{' * 99)\n    except OSError: pass"),
        {"crash"},
    ),
    "not-python": ("def double(x", {"not loadable"}),
    "bomb": ("(" * 10**5, {"not loadable", "memory", "crash"}),
    "stub": (attack("raise NotImplementedError('not started: double')"), {"not started"}),
}
WHOLE_FILE = {"hangs-on-load", "exits-on-load", "not-python", "bomb"}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The class above, graded by the command; the report, and the places that the attacks aim at."""
    place = tmp_path_factory.mktemp("grade")
    handed_in, out = place / "class", place / "out"
    out.mkdir()
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        listener = threading.Thread(target=listen, args=(server, calls), daemon=True)
        listener.start()
        for name, (text, _) in ATTACKS.items():
            folder = handed_in / name
            folder.mkdir(parents=True)
            aims = f"OUT = {str(out / name)!r}\nPORT = {server.getsockname()[1]}\nGRADER = os.getppid()\n"
            (folder / "toy.py").write_text(text.replace(HEAD, HEAD + aims), encoding="utf-8")
        paths = [place / "report.json", place / "grades.csv", place / "grades.html"]
        before = processes()
        done = subprocess.run(
            [sys.executable, "-m", "lessons", "grade", handed_in, "--lesson", TOY, "--out", paths[0], "--csv", paths[1],
             "--html", paths[2], "--seconds", "2", "--memory", "512", "--jobs", "2"],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        server.close()
        listener.join()
    return {
        "done": done, "paths": paths, "class": handed_in, "out": out, "calls": calls, "before": before,
        "report": json.loads(paths[0].read_text(encoding="utf-8")),
    }  # fmt: skip


def listen(server: socket.socket, calls: list) -> None:
    with contextlib.suppress(OSError):  # closed
        while True:
            with contextlib.suppress(TimeoutError):
                calls.append(server.accept()[0].close())


def processes() -> set[str]:
    """Processes with the marks of our children on their command line."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # gone meanwhile
            if b"sandbox.child" in path.read_bytes() and b"minigrad-grade-" in path.read_bytes():
                found.add(path.parent.name)
    return found


def results_of(graded, name: str) -> dict[str, dict]:
    (student,) = [student for student in graded["report"]["students"] if student["name"] == name]
    return {each["exercise"]: each for each in student["exercises"]}


def test_the_batch_is_complete_and_nothing_of_it_is_left(graded):
    assert graded["done"].returncode == 0, graded["done"].stderr
    assert graded["report"]["complete"]
    assert [student["name"] for student in graded["report"]["students"]] == sorted(ATTACKS)
    deadline = time.monotonic() + 10
    while processes() - graded["before"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes() - graded["before"]


@pytest.mark.parametrize("name", ATTACKS)
def test_each_gets_its_status_and_the_rest_of_its_file_is_graded(graded, name):
    results = results_of(graded, name)
    double, halves = results["double"], results["halves"]
    assert double["status"] in ATTACKS[name][1], double
    assert double["lines"] or double["status"] in ("passed", "not started")
    if name in WHOLE_FILE:
        assert halves["status"] == double["status"]
    elif double["status"] != "not loadable":  # what is patched while loading may spoil the rest of the same file
        assert halves["status"] == "passed" or name.startswith("patches"), halves


def account_of(graded, name: str) -> dict[str, str]:
    index = results_of(graded, name)["double"]["isolation"]
    return graded["report"]["isolation"][index]


def test_nothing_is_written_outside_where_that_is_denied(graded):
    if account_of(graded, "writes")["writes"] == "NOT denied":
        pytest.skip(account_of(graded, "writes")["not in force"])
    assert results_of(graded, "writes")["double"]["status"] == "error"
    assert not list(graded["out"].iterdir())
    assert sorted(path.name for path in graded["class"].rglob("*") if path.is_file()) == ["toy.py"] * len(ATTACKS)


def test_nobody_calls_where_that_is_denied(graded):
    if account_of(graded, "sockets")["network"] == "NOT denied":
        pytest.skip(account_of(graded, "sockets")["not in force"])
    assert results_of(graded, "sockets")["double"]["status"] == "error"
    assert not graded["calls"]


def test_nobody_forks_where_that_is_denied(graded):
    if not account_of(graded, "forks")["processes"].count("seccomp"):
        pytest.skip(account_of(graded, "forks")["not in force"])
    assert "Operation not permitted" in results_of(graded, "forks")["double"]["lines"][0]


def test_a_patched_numpy_is_the_childs_own(graded):
    """`double` returns x itself: a checker that believed the child's NumPy would find no difference."""
    assert not results_of(graded, "patches-numpy")["double"]["passed"]
    assert not results_of(graded, "patches")["double"]["passed"]


def test_the_report_has_the_documented_fields_and_no_others(graded):
    content = graded["report"]
    fields = {kind: set(names) for kind, names in report.FIELDS.items()}
    assert set(content) == fields["report"]
    assert set(content["settings"]) == fields["settings"]
    assert set(content["summary"]) == fields["summary"]
    assert all(set(student) == fields["student"] for student in content["students"])
    results = [each for student in content["students"] for each in student["exercises"]]
    assert all(set(each) == fields["exercise"] for each in results)
    assert all(set(each) == fields["how the class did"] for each in content["summary"]["exercises"])
    assert (content["schema"], content["version"]) == ("minigrad-grade", 1)
    assert content["summary"]["total"] == 2 * len(ATTACKS) == len(results)
    assert content["summary"]["passed"] == sum(each["passed"] for each in results)
    assert content["summary"]["statuses"]["timeout"] == sum(each["status"] == "timeout" for each in results)


def test_csv_has_a_line_for_each_student(graded):
    rows = list(csv.DictReader(io.StringIO(graded["paths"][1].read_text(encoding="utf-8"))))
    assert [row["student"] for row in rows] == sorted(ATTACKS)
    honest = next(row for row in rows if row["student"] == "honest")
    assert honest == {
        "student": "honest", "passed": "2", "total": "2", "toy/double": "passed", "toy/halves": "passed",
    }  # fmt: skip


def test_names_that_a_spreadsheet_would_run_are_defused():
    content = {"summary": {"exercises": []}, "students": [{"name": "=1+1", "passed": 0, "total": 0, "exercises": []}]}
    assert report.as_csv(content).splitlines()[1] == "'=1+1,0,0"


def test_the_summary_says_how_the_class_failed(graded):
    output = graded["done"].stdout
    assert f"{len(ATTACKS)} students, toy:" in output
    assert "double[...]" in output
    assert "it ran for more than 2 s" in output
    assert "In force" in output
    assert "Written: " in output
    assert max(map(len, output[: output.index("Written: ")].splitlines())) <= 100


class Page(HTMLParser):
    """What a page consists of; fails on a tag that is closed wrongly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_sound_and_runs_nothing(graded):
    page = Page(graded["paths"][2].read_text(encoding="utf-8"))
    assert not {"script", "img", "iframe", "link", "a"} & set(page.tags)
    assert "hangs-in-c" in page.text
    assert page.tags.count("details") == len(ATTACKS)


def test_what_a_submission_says_is_text_in_the_page():
    from lessons.workbench.grade.page import page

    nasty = "<script>alert(1)</script>\"'&"
    result = {
        "lesson": "toy", "exercise": "double", "status": "error", "passed": False, "lines": [nasty], "seconds": 0,
        "printed": nasty, "isolation": 0,
        "diagnosis": {"status": "found", "terms": [nasty], "cause": nasty, "lines": [nasty]},
    }  # fmt: skip
    done = {"name": nasty, "path": "p", "sha256": "", "files": {}, "passed": 0, "total": 1, "exercises": [result]}
    content = {
        "complete": False, "settings": {"lessons": {"toy": {}}}, "isolation": [{"network": nasty}],
        "students": [done], "ignored": {nasty: nasty}, "summary": report._summary([done], [("toy", "double")]),
    }  # fmt: skip
    parsed = Page(page(content))
    assert "script" not in parsed.tags
    assert parsed.text.count(nasty) >= 8
    assert "not complete" in parsed.text
    assert any(f"wrong terms: {nasty} (1)" in line for line in summary.lines({**content}))


# ---- going on, and what can go wrong around it

DAMAGED = json.dumps({**dict.fromkeys(report.FIELDS["report"], 0), "schema": "minigrad-grade", "version": 1})


def grade(*arguments: object) -> int:
    return main(["grade", *map(str, arguments), "--lesson", TOY, "--seconds", "5"])


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A class of two, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("ada", "bob"):
        Path("class", name).mkdir(parents=True)
        Path("class", name, "toy.py").write_text(HONEST, encoding="utf-8")
    return tmp_path


def watched(monkeypatch) -> list[str]:
    """The students that are judged from now on."""
    seen = []
    before = batch.run

    def run(tasks, *args):
        tasks = list(tasks)
        seen.extend(sorted({task.student.name for task in tasks}))
        return before(tasks, *args)

    monkeypatch.setattr(batch, "run", run)
    return seen


def test_finished_students_are_kept_unless_their_files_changed(small, monkeypatch, capsys):
    seen = watched(monkeypatch)
    assert grade("class") == 0
    first = json.loads(Path("report.json").read_text())
    assert seen == ["ada", "bob"]
    Path("class/bob/helper.py").write_text("ONE = 1", encoding="utf-8")
    assert grade("class") == 0
    assert seen == ["ada", "bob", "bob"]
    assert "Kept from report.json: 1 of 2 students" in capsys.readouterr().out
    second = json.loads(Path("report.json").read_text())
    assert second["students"][0] == first["students"][0]
    assert second["isolation"] == first["isolation"]
    assert grade("class", "--fresh") == 0
    assert seen[3:] == ["ada", "bob"]
    assert len(seen) == 5


def test_a_report_about_something_else_is_not_overwritten(small, capsys):
    assert grade("class") == 0
    before = Path("report.json").read_text()
    assert main(["grade", "class", "--lesson", TOY, "--seconds", "4"]) == 2
    assert "made for other lessons, with other limits" in capsys.readouterr().err
    Path("class").rename("first")
    Path("class/cleo").mkdir(parents=True)
    assert grade("class") == 2
    assert "made for other students (ada, bob...)" in capsys.readouterr().err
    assert Path("report.json").read_text() == before
    assert grade("class", "--fresh") == 0
    assert Path("report.json").read_text() != before


def test_a_partial_report_is_gone_on_with(small, monkeypatch):
    def broken_off(tasks, *args):
        for result in whole(tasks, *args):
            yield result
            if result[0].student.name == "ada" and result[0].exercise == "halves":
                raise KeyboardInterrupt

    whole = batch.run
    with monkeypatch.context() as patch:
        patch.setattr(batch, "run", broken_off)
        assert grade("class", "--jobs", "1") == 130
    partial = json.loads(Path("report.json").read_text())
    assert not partial["complete"]
    assert [len(student["exercises"]) for student in partial["students"]] == [2, 0]
    seen = watched(monkeypatch)
    assert grade("class") == 0
    assert seen == ["bob"]
    assert json.loads(Path("report.json").read_text())["complete"]


@pytest.mark.parametrize("text", ["not json", "[]", DAMAGED, '{"schema": "minigrad-grade", "version": 99}', "{}"])
def test_a_file_that_is_no_report_is_not_overwritten(small, capsys, text):
    Path("report.json").write_text(text, encoding="utf-8")
    assert grade("class") == 2
    assert "is no report of `minigrad grade`" in capsys.readouterr().err
    assert text == DAMAGED or grade("class", "--fresh") == 2  # which replaces a report, but nobody's other file
    assert Path("report.json").read_text(encoding="utf-8") == text


def test_a_judge_that_falls_over_costs_one_exercise(small, monkeypatch, capsys):
    """The first answer never comes; the judge that replaces it goes on."""
    first = []

    def ask(self, task):
        if not first:
            first.append(task)
            self.process = self._start()
            self.process.kill()
        return ask_really(self, task)

    ask_really = batch._Judge._ask
    with monkeypatch.context() as patch:
        patch.setattr(batch._Judge, "_ask", ask)
        assert grade("class", "--jobs", "1") == 1
        assert "1 exercise was not graded, by a fault that is not the student's" in capsys.readouterr().out
    statuses = [
        each["status"] for s in json.loads(Path("report.json").read_text())["students"] for each in s["exercises"]
    ]
    assert statuses == ["grader error", "passed", "passed", "passed"]
    seen = watched(monkeypatch)
    assert grade("class") == 0  # what was the grader's fault is graded again
    assert seen == ["ada"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: cannot read this folder"),
        (["empty"], "empty: nobody handed in anything"),
        (["class", "--out", "class/ada/toy.py/x"], "cannot"),
        (["class", "--seconds", "0"], "must be more than 0"),
        (["class", "--lesson", "nope"], "no lesson is called 'nope'"),
    ],
)
def test_what_cannot_be_graded_is_one_message(small, capsys, arguments, message):
    Path("empty").mkdir()
    assert main(["grade", "--lesson", TOY, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_files_of_no_known_lesson_are_refused_without_a_lesson(small, capsys):
    assert main(["grade", "class"]) == 2
    assert "no file is for a lesson that we know (" in capsys.readouterr().err


# ---- who handed in what


@pytest.fixture
def lesson():
    from lessons.workbench import catalogue

    return catalogue.find(TOY)


def test_folders_files_and_what_is_left_out(tmp_path, lesson):
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "notes.py").write_text("x = 1")
    (tmp_path / "ada" / "old.py").write_text("def double(x): 0")
    (tmp_path / "ada" / "new.py").write_text("def double(x:\nhalves = 3")  # more exercises, though it is not Python
    (tmp_path / "bob.py").write_text(HONEST)
    (tmp_path / "cleo" / "submission").mkdir(parents=True)
    (tmp_path / "cleo" / "submission" / "toy.py").write_text("")
    (tmp_path / "dan").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "list.txt").write_text("")
    (tmp_path / "ada.py").write_text(HONEST)
    os.symlink(tmp_path / "ada", tmp_path / "link")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.py")
        os.mkfifo(tmp_path / "dan" / "toy.py")
    found, ignored = students.find(tmp_path, [lesson])
    assert {s.name: [str(f.relative_to(tmp_path)) for f in s.files.values()] for s in found} == {
        "ada": ["ada/new.py"], "bob": ["bob.py"], "cleo": ["cleo/submission/toy.py"], "dan": [],
    }  # fmt: skip
    assert set(ignored) >= {"ada.py", "link", "list.txt"}
    readable = {s.name: s.readable for s in found}
    assert readable["bob"] == ()  # beside it lie the files of others
    assert readable["ada"] == (str((tmp_path / "ada").resolve()),)


def test_a_fingerprint_changes_with_any_file_and_nothing_else(tmp_path, lesson):
    def fingerprint() -> str:
        return students.find(tmp_path / "class", [lesson])[0][0].sha256

    folder = tmp_path / "class" / "ada"
    folder.mkdir(parents=True)
    (folder / "toy.py").write_text(HONEST)
    first = fingerprint()
    os.utime(folder / "toy.py", (1, 1))
    assert fingerprint() == first
    (folder / "data.csv").write_text("1")
    second = fingerprint()
    shutil.move(folder / "data.csv", folder / "other.csv")
    assert len({first, second, fingerprint()}) == 3


def test_a_student_without_a_file_has_everything_missing(small):
    Path("class/cleo").mkdir()
    assert grade("class") == 0
    content = json.loads(Path("report.json").read_text())
    assert [each["status"] for each in content["students"][2]["exercises"]] == ["missing", "missing"]
    assert content["students"][2]["exercises"][0]["lines"] == ["no file of cleo is for toy"]


def test_a_diagnosis_reaches_the_report(tmp_path, lesson, monkeypatch):
    """Its fields are read from the outcome when there are any."""
    from types import SimpleNamespace

    from lessons.workbench.grade import judge

    diagnosis = SimpleNamespace(status="found", terms=("var",), cause="divided by N-1", lines=("var 1.33",))
    outcome = SimpleNamespace(status="failed", passed=False, lines=("dx",), seconds=0.1, diagnosis=diagnosis)
    monkeypatch.setattr(judge, "check_in_child", lambda *args, **kwargs: [outcome])
    result = judge.judged(lesson, "double", "hw.py", Limits())
    assert result["diagnosis"] == {
        "status": "found", "terms": ["var"], "cause": "divided by N-1", "lines": ["var 1.33"],
    }  # fmt: skip
    assert set(result["diagnosis"]) == set(report.FIELDS["diagnosis"])
    found = report._summary([{"passed": 0, "total": 1, "exercises": [result]}], [("toy", "double")])["exercises"][0]
    assert (found["terms"], found["causes"]) == ({"var": 1}, {"divided by N-1": 1})
