"""The protections of the sandbox, each by itself and all together; and the account of what is not in force."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lessons.lab import evidence
from lessons.workbench.sandbox import Limits, Submission, SubmissionError
from lessons.workbench.sandbox.confine import HARMS

ROOT = Path(__file__).resolve().parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the protections are Linux's")


def alone(setup: str, body: str) -> str:
    """What a process prints that calls one protection and then tries something: "denied" for an OSError."""
    code = (
        "import os, signal, socket, sys, threading\n"
        "from lessons.workbench.sandbox import landlock, namespaces, seccomp, confine\n"
        f"try:\n    {setup}\n"
        "except OSError as error:\n    print('not available:', error)\n    sys.exit()\n"
        "def attempt():\n" + "\n".join(f"    {line}" for line in body.splitlines()) + "\n"
        "try: print(attempt(), flush=True)\n"
        "except OSError as error: print('denied', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if done.stdout.startswith("not available"):
        pytest.skip(done.stdout.strip())
    return done.stdout.strip()


@LINUX
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("socket.socket()", "denied"),
        ("socket.socket(socket.AF_UNIX)", "denied"),
        ("if os.fork() == 0: os._exit(0)", "denied"),
        ("os.execv('/bin/true', ['true'])", "denied"),
        ("os.kill(os.getppid(), 0)", "denied"),
        ("os.kill(0, 0)", "denied"),
        ("os.kill(-1, 0)", "denied"),
        ("os.pidfd_open(os.getppid())", "denied"),
        ("os.setsid()", "denied"),
        ("os.sched_setaffinity(os.getppid(), {0})", "denied"),
        ("import resource; resource.prlimit(os.getppid(), resource.RLIMIT_CPU)", "denied"),
        ("os.memfd_create('m')", "denied"),
        ("return os.kill(os.getpid(), 0)", "None"),
        ("import resource; return resource.prlimit(0, resource.RLIMIT_CORE) and 1", "1"),
        ("t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()", "thread\nNone"),
        ("return os.pipe() and socket.socketpair and 1", "1"),
    ],
)
def test_the_filter_of_system_calls(body, said):
    assert alone("seccomp.deny()", body) == said


@LINUX
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("open({out!r} + '/new', 'w')", "denied"),
        ("os.truncate({out!r} + '/old', 0)", "denied"),
        ("os.remove({out!r} + '/old')", "denied"),
        ("os.mkdir({out!r} + '/folder')", "denied"),
        ("os.rename({out!r} + '/old', {out!r} + '/other')", "denied"),
        ("os.symlink('/etc', {out!r} + '/link')", "denied"),
        ("os.link({out!r} + '/old', {here!r} + '/link')", "denied"),
        ("open({out!r} + '/old').close()", "denied"),
        ("os.listdir({out!r})", "denied"),
        ("with open({here!r} + '/new', 'w') as f: return f.write('x')", "1"),
        ("with open(os.devnull, 'w') as f: return f.write('x')", "1"),
        ("with open(os.__file__) as f: return len(f.read(9))", "9"),
        ("os.mkdir({here!r} + '/sub'); return os.listdir({here!r})", "['sub']"),
        ("import fractions, numpy.fft; return 1", "1"),
    ],
)
def test_landlock(body, said, tmp_path):
    out, here = tmp_path / "out", tmp_path / "here"
    out.mkdir()
    here.mkdir()
    (out / "old").write_text("old")
    said_now = alone(
        f"landlock.restrict(confine.readable_paths()[0], [{str(here)!r}, '/dev/null'])",
        body.format(out=str(out), here=str(here)),
    )
    assert said_now == said
    assert [(p.name, p.read_text()) for p in out.iterdir()] == [("old", "old")]


@LINUX
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("open({out!r} + '/new', 'w')", "denied"),
        ("os.remove({out!r} + '/old')", "denied"),
        ("s = socket.socket(); s.settimeout(3); s.connect(('127.0.0.1', {port}))", "denied"),
        ("os.kill({pid}, 0)", "denied"),
        ("return os.getpid()", "2"),
        ("with open({here!r} + '/new', 'w') as f: return f.write('x')", "1"),
        ("with open({here!r} + '/big', 'wb') as f: return f.write(bytes(2**21))", "denied"),
    ],
)
def test_a_world_of_its_own(body, said, tmp_path):
    import socket

    out, here = tmp_path / "out", tmp_path / "here"
    out.mkdir()
    here.mkdir()
    (out / "old").write_text("old")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        body = body.format(out=str(out), here=str(here), port=port, pid=os.getpid())
        assert (
            alone(f"if not all(namespaces.enter({str(here)!r}, 2**20).values()): raise OSError('mounts')", body) == said
        )
    assert [(p.name, p.read_text()) for p in out.iterdir()] == [("old", "old")]
    assert not list(here.iterdir())  # what was written lay in memory, and is gone


@LINUX
@pytest.mark.parametrize("ending", ["os._exit(7)", "os.kill(os.getpid(), signal.SIGSEGV)"])
def test_the_keeper_ends_as_the_worker_did(ending, tmp_path):
    code = (
        "import os, signal\nfrom lessons.workbench.sandbox import namespaces\n"
        f"try: namespaces.enter({str(tmp_path)!r}, 2**20)\n"
        "except OSError: os._exit(99)\n"
        f"{ending}\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE) as keeper:
        returncode = keeper.wait()  # while its standard input is open: where that closes, all of it ends
    if returncode == 99:
        pytest.skip("no namespaces here")
    assert returncode == (7 if "exit" in ending else -11)


@LINUX
def test_when_the_keeper_is_killed_everything_in_its_world_ends(tmp_path):
    code = (
        "import os, signal, time\nfrom lessons.workbench.sandbox import namespaces\n"
        f"try: namespaces.enter({str(tmp_path)!r}, 2**20)\n"
        "except OSError: print('no namespaces'); os._exit(0)\n"
        "if os.fork() == 0: os.setsid()\n"  # leaves the process group, so that only the namespace holds it
        "os.write(1, b'ready\\n')\ntime.sleep(20)\nos.write(1, b'ended by itself')\n"
    )
    keeper = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with keeper:
        first = keeper.stdout.readline()
        if first.startswith("no"):
            pytest.skip("no namespaces here")
        assert keeper.stdout.readline() == "ready\n"
        keeper.kill()
        # Both workers hold the pipe open: its end is their end.
        assert keeper.stdout.read() == ""


# ---- all together, as the grader has it


@pytest.fixture
def confined(tmp_path):
    """Enters a confined submission with this text."""

    def enter(text: str, **limits) -> Submission:
        path = tmp_path / "student" / "hw.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("import os, sys, time\nimport numpy as np\n" + text, encoding="utf-8")
        return Submission(path, Limits(confined=True, **limits))

    return enter


def test_the_account_names_every_harm(confined):
    with confined("def f(): return os.getcwd(), dict(os.environ), os.listdir('.')") as submission:
        account = submission.isolation
        cwd, environment, files = submission.functions["f"]()
    assert set(HARMS) <= set(account)
    assert all(account[harm].startswith(("denied by ", "NOT denied")) for harm in HARMS)
    if any(account[harm] == "NOT denied" for harm in HARMS):
        assert account["not in force"]
    assert environment["HOME"] == cwd
    assert not files
    assert not Path(cwd).exists()
    assert "PYTEST_CURRENT_TEST" not in environment


def test_the_file_cannot_change_the_account(confined):
    """It is sent before the file runs, which may do what it likes to the code that sends."""
    text = (
        "codec = sys.modules['lessons.workbench.sandbox.codec']\npack = codec.pack\n"
        "codec.pack = lambda head, value=None: pack({**head, 'isolation': {'writes': 'lie'}}, value)\n"
    )
    with confined(text) as submission:
        assert "lie" not in str(submission.isolation)
        assert set(HARMS) <= set(submission.isolation)


@pytest.mark.parametrize(
    ("harm", "body"),
    [
        ("writes", "open({out!r}, 'w')"),
        ("reads", "open({other!r})"),
        ("network", "import socket; socket.create_connection(('127.0.0.1', {port}), 3)"),
        ("processes", "if os.fork() == 0: os._exit(0)"),
        ("signals", "os.kill({pid}, 0)"),
    ],
)
def test_each_harm_is_denied_where_the_account_says_so(confined, tmp_path, harm, body):
    import socket

    other = tmp_path / "other.py"
    other.write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        places = {"out": str(tmp_path / "out"), "other": str(other), "port": server.getsockname()[1]}
        body = body.format(**places, pid=os.getpid())
        with confined(f"def f():\n    {body}\n") as submission:
            if submission.isolation[harm] == "NOT denied":
                pytest.skip(submission.isolation["not in force"])
            with pytest.raises(SubmissionError, match="Error") as caught:
                submission.functions["f"]()
    assert caught.value.status == "error"
    assert not (tmp_path / "out").exists()


def test_useful_things_still_work(confined):
    text = """
def f(x):
    import threading, minigrad as mg, fractions, numpy.fft
    np.save("mine.npy", x)
    t = mg.tensor(np.load("mine.npy"), requires_grad=True)
    (t ** 2).sum().backward()
    thread = threading.Thread(target=print, args=("from a thread",)); thread.start(); thread.join()
    return t.grad.numpy(), np.random.default_rng(0).normal(size=2).shape
"""
    with confined(text) as submission:
        gradient, shape = submission.functions["f"](np.arange(3.0))
        np.testing.assert_array_equal(gradient, [0, 2, 4])
        assert shape == (2,)
        assert submission.printed == "from a thread\n"


def test_simulated_kernels_run_with_barriers(confined):
    """With more threads in a block than a confined process can have, and without reading the lessons."""
    text = """
from lessons.lab import cuda
@cuda.jit
def turned_round(x, out):
    shared = cuda.shared.array(128, np.float64)
    t = cuda.threadIdx.x
    shared[t] = x[t]
    cuda.syncthreads()
    out[t] = shared[127 - t]
def f(x):
    out = np.zeros_like(x)
    turned_round[1, 128](x, out)
    return out
"""
    x = np.arange(128.0)
    with confined(text) as submission, evidence.collected() as told:
        np.testing.assert_array_equal(submission.functions["f"](x), x[::-1])
    assert [(launch["threads"], launch["loads"], launch["stores"]) for launch in told] == [(128, 128, 128)]


@LINUX
def test_the_solutions_cannot_be_read_where_lessons_are_installed(tmp_path):
    """As from a wheel: the package beside others, in a folder on the path, and no checkout around it."""
    site = tmp_path / "site-packages"
    for name in ("lessons", "minigrad", "kernels"):
        shutil.copytree(ROOT / name, site / name, ignore=shutil.ignore_patterns("__pycache__", "*.png", "*.svg"))
    (site / "other.py").write_text("ONE = 1")
    (tmp_path / "student").mkdir()
    student = tmp_path / "student" / "hw.py"
    student.write_text(
        "def other():\n    import other, minigrad.nn, numpy.fft\n    return other.ONE\n"
        "def solution():\n    from lessons.vision.batchnorm import forward\n"
    )
    code = (
        "from lessons.workbench.sandbox import Limits, Submission, SubmissionError\nimport lessons\n"
        f"with Submission({str(student)!r}, Limits(confined=True)) as s:\n"
        "    print(lessons.__path__[0], s.isolation['reads'], s.functions['other'](), sep='|')\n"
        "    try: s.functions['solution'](); print('imported')\n"
        "    except SubmissionError as error: print(error.lines[0])\n"
    )
    command = [sys.executable, "-P", "-c", code] if sys.version_info >= (3, 11) else [sys.executable, "-c", code]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(Path(np.__file__).parents[1])])}
    done = subprocess.run(command, cwd=site, env=env, capture_output=True, text=True)
    where, reads, one, said = done.stdout.replace("\n", "|").split("|")[:4]
    assert Path(where).parent == site, done.stderr
    if reads == "NOT denied":
        pytest.skip("no Landlock here")
    assert one == "1"
    assert said.startswith("PermissionError")


def test_what_is_missing_is_said(monkeypatch):
    """In a process of its own: protections that this system lacks are left out, and named."""
    code = (
        "import os, tempfile\nfrom lessons.workbench.sandbox import confine, landlock, seccomp, namespaces\n"
        "def no(*args): raise OSError(38, 'Function not implemented')\n"
        "landlock.restrict = seccomp.deny = namespaces.enter = no\n"
        "with tempfile.TemporaryDirectory() as scratch:\n"
        "    head = dict(scratch=scratch, seconds=1, memory=2**30, file_size=2**20, confined=True, readable=[])\n"
        "    for item in confine.confine(head, confine.enter_namespaces(scratch)).items(): print(*item)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    for line in ("network NOT denied", "writes NOT denied", "signals NOT denied", "reads NOT denied"):
        assert line in done.stdout
    missing = "namespaces (Function not implemented); Landlock (Function not implemented); seccomp (Function not"
    assert f"not in force {missing}" in done.stdout
    assert "leftovers its process group is killed; what leaves" in done.stdout
    assert ("processes NOT denied" in done.stdout) == (not hasattr(os, "getuid") or os.getuid() == 0)
