"""What the loop remembers and writes: nothing of the learner's is lost, whatever state the files are in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lessons.workbench import catalogue
from lessons.workbench.errors import UsageError
from lessons.workbench.loop import stubs
from lessons.workbench.loop.state import VERSION, Progress, State, Store, beside_with_date

TOY = str(Path(__file__).with_name("toy.py"))


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def store():
    made = Store(Path("homework"))
    yield made
    made.close()


@pytest.fixture
def toy():
    return catalogue.find(TOY)


# ---- the state


def test_a_state_comes_back_as_it_was_written(store):
    with store.change() as state:
        state.current = "toy/double"
        state.stubs["toy"] = "abc"
        state.exercises["toy/double"] = Progress(3, "2026-01-01T00:00:00", "", ["h1", "h2"], "x̂")
    again = Store(Path("homework")).load()
    assert again == state
    assert json.loads(store.path.read_text(encoding="utf-8"))["version"] == VERSION


def test_a_change_that_breaks_off_changes_nothing(store):
    with store.change() as state:
        state.current = "toy/double"

    def interrupted():
        with store.change() as state:
            state.current = "toy/halves"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert store.load().current == "toy/double"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b"{}",
        b'{"version": "1"}',
        b'{"version": true}',
        b'{"version": 0}',
        b'{"version": 1, "current": 5}',
        b'{"version": 1, "exercises": []}',
        b'{"version": 1, "exercises": {"a/b": 1}}',
        b'{"version": 1, "exercises": {"a/b": {"attempts": "3"}}}',
        b'{"version": 1, "exercises": {"a/b": {"hints": [1]}}}',
        b'{"version": 1, "stubs": {"a": null}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_state_is_set_aside_with_a_date_and_a_notice(store, content):
    store.folder.mkdir()
    store.path.write_bytes(content)
    assert store.load() == State()
    (aside,) = store.folder.glob("progress.*.json")
    assert re.fullmatch(r"progress\.\d{8}-\d{6}\.json", aside.name)
    assert aside.read_bytes() == content
    assert aside.name in store.notices[0]
    assert not store.path.exists()


def test_two_damaged_states_in_one_second_are_both_kept(store):
    store.folder.mkdir()
    for content in (b"one", b"two", b"three"):
        store.path.write_bytes(content)
        store.load()
    assert {path.read_bytes() for path in store.folder.glob("progress.*.json")} == {b"one", b"two", b"three"}


def test_fields_that_are_missing_have_their_defaults(store):
    store.folder.mkdir()
    store.path.write_text('{"version": 1, "exercises": {"a/b": {"attempts": 2}}, "of another day": 1}')
    assert store.load() == State(exercises={"a/b": Progress(attempts=2)})


def test_a_state_of_a_newer_version_is_refused_and_left_alone(store):
    store.folder.mkdir()
    content = b'{"version": 2, "current": {"in": "another form"}}'
    store.path.write_bytes(content)
    with pytest.raises(UsageError, match=r"newer minigrad \(version 2 of the file; this one knows 1\).*--homework DIR"):
        store.load()
    with pytest.raises(UsageError), store.change():
        pytest.fail("a state was offered for change")
    assert store.path.read_bytes() == content


def test_changes_of_two_processes_do_not_lose_each_other(store):
    """Each adds 50 attempts, as slowly as a slow drive; without the lock, some would be lost."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom lessons.workbench.loop.state import Store\n"
        "store = Store(Path('homework'))\nPath(sys.argv[1]).touch()\n"
        "while not (Path('0').exists() and Path('1').exists()): time.sleep(0.001)\n"
        "for _ in range(50):\n"
        "    with store.change() as state:\n        time.sleep(0.002); state.of('a/b').attempts += 1\n"
    )
    workers = [subprocess.Popen([sys.executable, "-c", code, str(n)]) for n in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert store.load().of("a/b").attempts == 100


def test_a_second_loop_learns_who_has_the_folder(store):
    assert store.claim() == ""
    code = f"from pathlib import Path\nfrom {Store.__module__} import Store\nprint(Store(Path('homework')).claim())"

    def other() -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    assert re.fullmatch(r"process \d+ on \S+", other())
    with store.change() as state:  # a change must not give up the claim
        state.current = "toy/double"
    assert other()
    store.close()
    assert other() == ""


def test_a_homework_folder_that_is_a_file_is_refused():
    Path("homework").write_text("mine")
    with pytest.raises(UsageError, match="--homework DIR"), Store(Path("homework")).change():
        pass


# ---- stubs


def install(lesson, state):
    return stubs.install(lesson, Path("homework/toy.py"), state)


def test_a_stub_is_written_once_and_then_left_alone(toy):
    state = State()
    assert install(toy, state) == ["Wrote homework/toy.py."]
    assert install(toy, state) == []
    path = Path("homework/toy.py")
    path.write_text("my own work", encoding="utf-8")
    assert install(toy, state) == []
    assert path.read_text(encoding="utf-8") == "my own work"
    assert [found.name for found in Path("homework").iterdir()] == ["toy.py"]


def changed(lesson, hint="Twice x, in other words."):
    """The same lesson after its author has rewritten a docstring."""
    other = catalogue.find(TOY)
    source = stubs.stub_file(lesson)
    return other, source.replace("Twice x,", hint)


def test_an_untouched_stub_follows_the_lesson(toy, monkeypatch):
    state = State()
    install(toy, state)
    _, fresh = changed(toy)
    monkeypatch.setattr(stubs, "stub_file", lambda lesson: fresh)
    assert "anew" in install(toy, state)[0]
    assert Path("homework/toy.py").read_text(encoding="utf-8") == fresh
    assert len(list(Path("homework").iterdir())) == 1


def test_an_edited_stub_gets_a_new_one_beside_it_once(toy, monkeypatch):
    state, path = State(), Path("homework/toy.py")
    install(toy, state)
    path.write_text("my own work", encoding="utf-8")
    _, fresh = changed(toy)
    monkeypatch.setattr(stubs, "stub_file", lambda lesson: fresh)
    assert "toy.py.new" in install(toy, state)[0]
    assert path.read_text(encoding="utf-8") == "my own work"
    beside = Path("homework/toy.py.new")
    assert beside.read_text(encoding="utf-8") == fresh
    assert install(toy, state) == []

    beside.write_text("my notes", encoding="utf-8")
    monkeypatch.setattr(stubs, "stub_file", lambda lesson: fresh + "# more\n")
    kept, _ = install(toy, state)
    assert "toy.py.new" in kept
    (copy,) = Path("homework/backups").iterdir()
    assert copy.read_text(encoding="utf-8") == "my notes"


def test_line_ends_are_no_edits(toy, monkeypatch):
    state, path = State(), Path("homework/toy.py")
    install(toy, state)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    _, fresh = changed(toy)
    monkeypatch.setattr(stubs, "stub_file", lambda lesson: fresh)
    assert "anew" in install(toy, state)[0]


def test_a_lost_state_does_not_touch_edits(toy):
    path = Path("homework/toy.py")
    path.parent.mkdir()
    path.write_text("my own work", encoding="utf-8")
    assert install(toy, State()) == []
    assert path.read_text(encoding="utf-8") == "my own work"


# ---- reset, diff


SOLVED = '''"""My notes."""
import numpy as np

HELPER = 2


@print
def double(x, times=1):
    def halves(x):
        return 0
    return x * HELPER**times

# a remark
def halves(x):
    return np.maximum(x, 0), np.minimum(x, 0)
'''


def test_a_reset_touches_one_function_and_keeps_a_backup(toy):
    path = Path("toy.py")
    path.write_text(SOLVED, encoding="utf-8")
    done = stubs.reset(toy, toy.exercise_named("double"), path)
    assert any("backups/toy." in line for line in done)
    (copy,) = Path("backups").iterdir()
    assert copy.read_text(encoding="utf-8") == SOLVED
    text = path.read_text(encoding="utf-8")
    assert 'raise NotImplementedError("not started: double")' in text
    assert text.startswith('"""My notes."""\nimport numpy as np\n\nHELPER = 2\n\n\ndef double(')
    assert text.endswith("# a remark\ndef halves(x):\n    return np.maximum(x, 0), np.minimum(x, 0)\n")
    compile(text, "toy.py", "exec")


def test_a_reset_keeps_windows_line_ends_and_strange_bytes(toy):
    path = Path("toy.py")
    path.write_bytes(SOLVED.replace("\n", "\r\n").encode() + b"# \x0c \xe2\x80\xa8\r\n")
    stubs.reset(toy, toy.exercise_named("halves"), path)
    content = path.read_bytes()
    assert content.count(b"\n") == content.count(b"\r\n")
    assert content.endswith(b"# \x0c \xe2\x80\xa8\r\n")
    assert b"not started: halves" in content


def test_a_reset_of_what_is_not_there_appends_it(toy):
    path = Path("toy.py")
    path.write_text("x = 1\n", encoding="utf-8")
    stubs.reset(toy, toy.exercise_named("halves"), path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("x = 1\n")
    assert "def halves" in text
    compile(text, "toy.py", "exec")


@pytest.mark.parametrize("content", [b"def double(x:\n", b"x = 1\0", b"\xff\xfe"])
def test_a_reset_of_what_is_not_python_resets_all_and_says_so(toy, content):
    path = Path("toy.py")
    path.write_bytes(content)
    done = stubs.reset(toy, toy.exercise_named("double"), path)
    (copy,) = Path("backups").iterdir()
    assert copy.read_bytes() == content
    compile(path.read_text(encoding="utf-8"), "toy.py", "exec")
    assert content == b"\xff\xfe" or any("not valid Python" in line for line in done)


def test_a_reset_of_a_missing_file_writes_it(toy):
    assert stubs.reset(toy, toy.exercise_named("double"), Path("toy.py")) == ["Wrote toy.py."]


def test_a_link_stays_a_link(toy):
    Path("real.py").write_text(SOLVED, encoding="utf-8")
    Path("toy.py").symlink_to("real.py")
    stubs.reset(toy, toy.exercise_named("double"), Path("toy.py"))
    assert Path("toy.py").is_symlink()
    assert "not started" in Path("real.py").read_text(encoding="utf-8")


def test_the_diff_is_of_the_one_function_without_decorators(toy):
    lines = stubs.diff(SOLVED, toy.exercise_named("halves"))
    assert lines[:2] == ["--- yours", "+++ the solution"]
    assert not any("double" in line or "@lesson" in line for line in lines)
    solution = "\n".join(stubs.solution_lines(toy.exercise_named("halves")))
    assert stubs.diff(solution, toy.exercise_named("halves")) == []


def test_the_last_definition_counts():
    assert stubs.line_of("def f(): pass\n\n@a\n@b\ndef f(): pass\n", "f") == 3
    assert stubs.line_of("x = 1", "f") is None
    assert stubs.line_of("def f(", "f") is None


def test_names_with_dates_are_free(tmp_path):
    path = tmp_path / "a.py"
    first = beside_with_date(path)
    first.touch()
    assert not beside_with_date(path).exists()
