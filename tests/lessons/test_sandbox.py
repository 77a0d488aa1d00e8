"""A learner's file in a process of its own: what comes back, what does not, and what each attack comes to."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lessons.anatomy import Lesson, LessonError, check_file
from lessons.lab import evidence
from lessons.workbench.sandbox import Limits, Nursery, Submission, SubmissionError, check_in_child, codec

TOY = Path(__file__).with_name("toy.py")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def toy() -> Lesson:
    spec = importlib.util.spec_from_file_location("toy_of_a_sandbox", TOY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.lesson


@pytest.fixture
def homework(tmp_path):
    """Writes a learner's file and returns its path."""

    def write(text: str, name: str = "hw.py") -> Path:
        path = tmp_path / name
        path.write_text("import os, sys, time\nimport numpy as np\n" + text, encoding="utf-8")
        return path

    return write


# ---- values as bytes


def round_trip(value):
    return codec.unpack(bytearray(codec.pack({"kind": "test"}, value))[codec.PREFIX :])[1]


numbers = hnp.arrays(
    st.sampled_from([bool, "i1", "<i8", ">i4", "u2", "f2", "<f4", ">f8", "c8", "c16"]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.complex_numbers()
nested = st.recursive(
    plain,
    lambda inner: st.tuples(inner, inner) | st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(numbers, max_size=3))
def test_arrays_come_back_bit_by_bit_and_writable(arrays):
    for before, after in zip(arrays, round_trip(arrays), strict=True):
        assert (after.dtype, after.shape, after.tobytes()) == (before.dtype, before.shape, before.tobytes())
        assert after.flags.writeable or not after.size


@given(nested)
def test_plain_values_come_back_as_they_were(value):
    assert repr(round_trip(value)) == repr(value)


def test_scalars_keep_their_type_and_order_does_not_matter():
    value = {"a": np.float32(1.5), "b": (np.arange(6.0).reshape(2, 3).T, np.bool_(True))}
    back = round_trip(value)
    assert type(back["a"]) is np.float32
    assert type(back["b"][1]) is np.bool_
    np.testing.assert_array_equal(back["b"][0], value["b"][0])


class Evil:
    def __array__(self, *args, **kwargs):
        raise RuntimeError("must not run in the parent")

    def __reduce__(self):
        return os._exit, (9,)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Evil(), "Evil"),
        (np.array([None, print]), "array of dtype object"),
        (np.array(["text"]), "array of dtype <U4"),
        (np.zeros(2, dtype=[("a", "f8")]), "array of dtype [('a', '<f8')]"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "array of dtype datetime64[D]"),
        pytest.param(1 << 15000, "int", id="huge"),
        (lambda: 0, "function"),
        ({1: 2}, "dict"),
        (type("a\x1b[31m", (), {})(), "a?[31m"),
    ],
)
def test_whatever_else_arrives_as_a_name(value, name):
    back = round_trip(value)
    assert isinstance(back, codec.Opaque)
    assert type(back).__name__ == name


def test_a_list_that_contains_itself_ends():
    endless = []
    endless.append(endless)
    assert "Opaque" not in repr(round_trip([1]))
    assert "<list>" in repr(round_trip(endless))


def frame(head: dict, tail: bytes = b"") -> bytearray:
    text = json.dumps(head).encode()
    return bytearray(struct.pack("<I", len(text)) + text + tail)


@pytest.mark.parametrize(
    "content",
    [
        bytearray(),
        bytearray(b"\xff\xff\xff\xff"),
        bytearray(struct.pack("<I", 2**30) + b"{}"),
        frame({"value": 1}),
        frame([1]),
        frame({"value": 1, "arrays": []}, b"more"),
        frame({"value": ["array", 0], "arrays": []}),
        frame({"value": ["array", 0], "arrays": [["<f8", [4]]]}),
        frame({"value": ["array", 0], "arrays": [["<f8", [2**62, 2**62]]]}),
        frame({"value": ["array", 0], "arrays": [["<f8", [0, 2**62, 2**62]]]}),
        frame({"value": ["array", 0], "arrays": [["<f8", [-1]]]}),
        frame({"value": ["array", 0], "arrays": [["|O8", [1]]]}, bytes(8)),
        frame({"value": ["array", 0], "arrays": [["<f3", [1]]]}, bytes(8)),
        frame({"value": ["array", 0], "arrays": [["|b8", [0]]]}),
        frame({"value": ["array", 0], "arrays": [[None, 3]]}),
        frame({"value": ["unheard of"], "arrays": []}),
        frame({"value": {"a": 1}, "arrays": []}),
        frame({"value": [], "arrays": []}),
        bytearray(struct.pack("<I", 10**5) + b"[" * 10**5),
        frame({"value": json.loads('["list", ' * 40 + "1" + "]" * 40), "arrays": []}),
    ],
    ids=lambda content: repr(bytes(content[4:60])),
)
def test_malformed_frames_are_refused_and_nothing_else_is_raised(content):
    with pytest.raises(codec.FrameError):
        codec.unpack(content)


@given(st.data())
def test_damaged_frames_are_read_or_refused(data):
    content = bytearray(codec.pack({"kind": "k"}, (np.arange(3.0), {"a": [1, None, 2j]})))[codec.PREFIX :]
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        codec.unpack(content)
    except codec.FrameError:
        return


# ---- calls


def test_functions_run_in_the_child_and_look_like_the_learners(homework):
    path = homework(
        "def double(x, times=1, *, log=print):\n    print('seen', times)\n    x *= 2 ** times\n"
        "    return x, os.getpid()\n"
        "three = 3\nfrom numpy import dot\n"
    )
    with Submission(path, Limits()) as submission:
        double = submission.functions["double"]
        assert str(inspect.signature(double)) == "(x, times=1, *, log=<built-in function print>)"
        x = np.ones((2, 3))
        y, pid = double(x, times=2)
        np.testing.assert_array_equal(y, 4 * x)
        np.testing.assert_array_equal(x, 1)  # the child had a copy
        assert pid != os.getpid()
        assert submission.printed == "seen 2\n"
        assert submission.functions["dot"](np.ones(2), np.ones(2)) == 2.0
        assert submission.others == {"three": "3"}
        assert submission.isolation["memory"]
    assert submission.printed == "seen 2\n"
    with pytest.raises(SubmissionError, match="outside of `with"):
        double(x)


def test_arguments_that_cannot_be_sent_are_refused(homework):
    with Submission(homework("def f(x): return x"), Limits()) as submission:
        with pytest.raises(TypeError, match="an argument holds a function, which cannot be sent"):
            submission.functions["f"]([1, (lambda: 0, 2)])
        assert submission.functions["f"]([1, (None, 2)]) == [1, (None, 2)]


def failure(homework, body: str, limits: Limits, **kwargs) -> SubmissionError:
    """What calling a function with this body raises."""
    text = "def f():\n" + "\n".join(f"    {line}" for line in body.splitlines()) + "\n"
    with Submission(homework(text), limits) as submission, pytest.raises(SubmissionError) as caught:
        submission.functions["f"]()
    return caught.value


def test_an_exception_arrives_with_the_learners_own_lines(homework):
    error = failure(homework, "def inner(y):\n    return np.linalg.inv(y)  # mine\nreturn inner(np.ones(3))", Limits())
    assert error.status == "error"
    assert error.lines[0].startswith("LinAlgError: 1-dimensional array given")
    assert error.lines[1] == "hw.py, line 5, in inner:  return np.linalg.inv(y)  # mine"
    assert error.lines[2] == "hw.py, line 6, in f:  return inner(np.ones(3))"
    assert len(error.lines) == 3


def test_the_line_shown_is_the_one_that_ran(homework):
    path = homework("def f(): return 1 / 0  # as it was")
    with Submission(path, Limits()) as submission:
        homework("# the learner has gone on editing\n" * 9)
        with pytest.raises(SubmissionError, match="return 1 / 0  # as it was"):
            submission.functions["f"]()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("return f()", "RecursionError"),
        ("class E(Exception):\n    def __str__(self): return 1 / 0\nraise E", "its message cannot be shown"),
        ("raise ValueError('\\x1b[2J\\ud800')", r"ValueError: ?[2J?"),
        ("input()", "EOFError"),
        ("sys.stdout = None\nreturn print('x') or 1 / 0", "ZeroDivisionError"),
    ],
)
def test_whatever_the_learner_raises_is_an_error_of_theirs(homework, body, said):
    error = failure(homework, body, Limits())
    assert error.status == "error"
    assert said in error.lines[0]
    assert "hw.py, line" in error.lines[1]


@pytest.mark.parametrize(
    ("body", "limits", "status", "said"),
    [
        ("end = time.time() + 60\nwhile time.time() < end: pass", Limits(seconds=0.3), "timeout", "more than 0.3 s"),
        ("os._exit(0)", Limits(), "crash", "exit code 0"),
        ("os.kill(os.getpid(), 11)", Limits(), "crash", "SIGSEGV"),
        ("return np.ones(int(5e10 / 8))", Limits(), "memory", "MemoryError"),
        ("for _ in range(10**5): print('x' * 10**4)", Limits(output=10**5), "output", "more than 100000 bytes"),
        ("os.closerange(3, 100)\ntime.sleep(60)", Limits(seconds=20), "crash", "closed the connection"),
        ("return np.ones(10**6)", Limits(reply=10**6), "crash", "at most 1000000 are read"),
        (
            "for fd in range(3, 20):\n    try: os.write(fd, b'x' * 64)\n    except OSError: pass",
            Limits(),
            "crash",
            "sense",
        ),
    ],
    ids=["hangs", "exits", "segfaults", "50 GB", "flood", "closes", "long reply", "forged reply"],
)
def test_what_ends_the_child_has_a_status_of_its_own(homework, body, limits, status, said):
    error = failure(homework, body, limits)
    assert error.status == status
    assert said in error.lines[0]


def test_a_dead_child_stays_dead_and_leaves_no_process(homework):
    with Submission(homework("def f(): os._exit(1)\ndef g(): return 1"), Limits()) as submission:
        with pytest.raises(SubmissionError, match="exit code 1"):
            submission.functions["f"]()
        assert not submission.alive
        with pytest.raises(SubmissionError, match="has ended already"):
            submission.functions["g"]()


def test_the_time_counts_over_calls_and_begins_anew_for_each_check(homework):
    path = homework("def nap(): time.sleep(1)")
    with Submission(path, Limits(seconds=1.8)) as submission:
        submission.functions["nap"]()
        submission.renew()
        submission.functions["nap"]()
        with pytest.raises(SubmissionError) as caught:
            submission.functions["nap"]()
        assert caught.value.status == "timeout"


@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
def test_a_timeout_kills_what_the_learner_started(homework, tmp_path):
    path = homework(
        "def f():\n    pid = os.fork()\n    if pid == 0:\n        time.sleep(60)\n        os._exit(0)\n"
        f"    open({str(tmp_path / 'pid')!r}, 'w').write(str(pid))\n    time.sleep(60)\n"
    )
    with Submission(path, Limits(seconds=2)) as submission, pytest.raises(SubmissionError, match="killed"):
        submission.functions["f"]()
    assert is_gone(int((tmp_path / "pid").read_text()))


@pytest.mark.skipif(os.name != "posix", reason="pipes that hang up are POSIX")
@pytest.mark.parametrize("confined", [False, True])
def test_a_child_does_not_outlive_its_parent(homework, tmp_path, confined):
    """The parent is killed while the learner's code runs and nobody watches the clock any more."""
    path = homework(
        "def f():\n    print('running', flush=True)\n    end = time.time() + 60\n    while time.time() < end: pass"
    )
    code = (
        "import threading, time\nfrom lessons.workbench.sandbox import Submission, Limits\n"
        f"with Submission({str(path)!r}, Limits(seconds=60, confined={confined})) as submission:\n"
        "    threading.Thread(target=submission.functions['f'], daemon=True).start()\n"
        "    while not submission.printed: time.sleep(0.01)\n"
        "    print(submission._child.process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    command, env = [sys.executable, "-c", code], {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert not is_gone(pid, attempts=1)
        parent.kill()
    assert is_gone(pid)


def is_gone(pid: int, attempts: int = 500) -> bool:
    """Whether a process ends within some seconds; a zombie that nobody has waited for yet counts as ended."""
    for _ in range(attempts):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            pass
        time.sleep(0.01)
    return False


def test_warnings_are_passed_on(homework):
    path = homework("def f(): return np.log(np.zeros(2))")
    with Submission(path, Limits()) as submission, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        submission.functions["f"]()
    assert [str(w.message) for w in caught] == ["divide by zero encountered in log"]


def test_evidence_is_passed_on(homework):
    """Also more than there is room for, and what is no evidence."""
    text = """
from lessons.lab import evidence
def f(x):
    assert evidence.wanted()
    evidence.tell({"launches": 3, "kernel": "add"})
    evidence.tell({"no": [1], "evidence": None})
    for k in range(200):
        evidence.tell({"k": k})
    return x
"""
    with Submission(homework(text), Limits()) as submission, evidence.collected() as outside:
        with evidence.collected() as told:
            submission.functions["f"](1.0)
        submission.functions["f"](1.0)
    assert told[0] == {"launches": 3, "kernel": "add"}
    assert told[1:] == [{"k": k} for k in range(len(told) - 1)]
    assert 50 < len(told) <= evidence.MOST
    assert outside == told, "the second call told the outer listener, the first one did not"
    evidence.tell({"nobody": "listens"})
    assert not evidence.wanted()


@pytest.mark.parametrize("forged", ["a", {"a": 1}, [1], [{"a": []}], [{"a": "x" * 500}], [{"a": "\x1b[2J"}], None])
def test_evidence_that_is_none_is_dropped(forged):
    assert evidence.plain(forged) == []


# ---- loading


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("def f(x:\n", "not loadable", "hw.py is not valid Python: "),
        ("x = 1 / 0\n", "not loadable", "ZeroDivisionError: division by zero\nhw.py, line 3, in <module>:  x = 1 / 0"),
        ("raise SystemExit(3)\n", "not loadable", "SystemExit: 3"),
        ("import no_such_module\n", "not loadable", "No module named"),
        ("raise NotImplementedError('not started: f')\n", "not loadable", "does not load"),
        ("os._exit(0)\n", "crash", "exit code 0"),
        ("x = np.ones(10**11)\n", "memory", "MemoryError"),
        ("print('before', flush=True)\ntime.sleep(60)\n", "timeout", "more than 1 s"),
    ],
)
def test_a_file_that_does_not_load_says_why(homework, text, status, said):
    with (
        pytest.raises(SubmissionError) as caught,
        Submission(homework(text), Limits(seconds=1 if "sleep" in text else 60)),
    ):
        pass
    assert caught.value.status == status
    assert said in str(caught.value)
    assert caught.value.printed == ("before\n" if "before" in text else "")


def test_a_file_that_cannot_be_source_is_refused(homework):
    with pytest.raises(SubmissionError, match="has more than"), Submission(homework("#" * 2**22), Limits()):
        pass


def test_relative_paths_mean_what_they_mean_to_the_learner(homework, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Submission(homework("def f(): return os.getcwd()"), Limits()) as submission:
        assert submission.functions["f"]() == str(tmp_path)


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError), Submission(tmp_path / "none.py", Limits()):
        pass


@pytest.mark.parametrize("limit", [{"seconds": 0}, {"memory": -1}, {"output": 0}, {"seconds": float("nan")}])
def test_impossible_limits_are_refused(limit):
    with pytest.raises(ValueError, match=f"Limits: {next(iter(limit))} must be positive"):
        Limits(**limit)


# ---- checks


SOLVED = "def double(x, times=1): return x * 2**times\ndef halves(x): return np.maximum(x, 0), np.minimum(x, 0)\n"


@pytest.mark.parametrize(
    "text",
    [
        SOLVED,
        "def double(x, times=1): raise NotImplementedError('not started: double')\n"
        "def halves(x): raise NotImplementedError('not started: double')\n",
        "def double(x): return x\ndef halves(x): return None\n",
        "double = 3\ndef halves(x): return x / None\n",
        "def double(x, times=1): return np.log(-abs(x))\n",
        "def double(x, times=1): return [1]\ndef halves(x): return (x.astype('f4'), x[:2])\n",
        "def double(x, times=1): return object()\ndef halves(x): raise NotImplementedError('later')\n",
    ],
)
def test_the_check_says_the_same_as_in_one_process(toy, homework, text):
    """But for traceback lines: the child shows the callers, too."""
    path = homework(text)
    here, there = check_file(toy, path), check_in_child(toy, path)
    assert [(o.exercise, o.status, o.hint) for o in there] == [(o.exercise, o.status, o.hint) for o in here]
    assert [o.lines for o in there] == [o.lines for o in here]


def test_the_next_check_gets_a_fresh_child(toy, homework):
    path = homework("def double(x, times=1): os._exit(0)\n" + SOLVED.splitlines()[1])
    seen = []
    outcomes = check_in_child(toy, path, after=lambda outcome, submission: seen.append(submission))
    assert [outcome.status for outcome in outcomes] == ["crash", "passed"]
    assert seen[0] is not seen[1]


def test_one_exercise_alone(toy, homework):
    assert [o.exercise for o in check_in_child(toy, homework(SOLVED), exercise="halves")] == ["halves"]
    with pytest.raises(LessonError, match="no exercise called 'nope'"):
        check_in_child(toy, homework(SOLVED), exercise="nope")
    with pytest.raises(SubmissionError, match="defines none of the exercises of toy: double, halves"):
        check_in_child(toy, homework("x = 1"))


def test_a_nursery_has_children_ready(toy, homework):
    with Nursery() as nursery:
        first = nursery._children[0]
        assert check_in_child(toy, homework(SOLVED), nursery=nursery)[0].passed
        assert first.ended
        nursery.refill()
        nursery._children[0].process.kill()  # as a system does that is short of memory
        nursery._children[0].process.wait()
        assert check_in_child(toy, homework(SOLVED), nursery=nursery)[0].passed
        nursery.refill()
        second = nursery._children[0]
        confined = Submission(homework(SOLVED), Limits(confined=True), nursery)
        with pytest.raises(ValueError, match="must agree on confined"), confined:
            pass
    assert second.ended
    assert is_gone(second.process.pid)
