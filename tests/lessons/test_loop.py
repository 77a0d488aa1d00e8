"""The loop as a person has it: in a terminal, from the first start to a solved exercise, and however it may end."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lessons.workbench.cli import main

ptys = pytest.importorskip("tests.lessons.ptys" if __package__ else "ptys", reason="needs pseudo-terminals")

TOY = str(Path(__file__).with_name("toy.py"))
HOMEWORK = Path("homework/toy.py")
DOUBLE = 'raise NotImplementedError("not started: double")'
HALVES = 'raise NotImplementedError("not started: halves")'
FOREVER = "while True: pass"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def toy(*arguments: str, **variables: str):
    """The loop on the toy lesson, in a terminal."""
    return ptys.loop("--lesson", TOY, *arguments, **variables)


def program(*arguments: str, keys: str | None = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """The loop on the toy lesson without a terminal; ``keys`` come from a pipe."""
    command = [sys.executable, "-m", "lessons", "--lesson", TOY, *arguments]
    return subprocess.run(command, input=keys, capture_output=True, text=True, env={**os.environ, **variables})


def write(body: str) -> None:
    """A homework file as somebody might have it before the first start."""
    HOMEWORK.parent.mkdir(exist_ok=True)
    head = "from __future__ import annotations\nimport os, time\nimport numpy as np"
    HOMEWORK.write_text(f"{head}\ndef double(x, times=1):\n    {body}\n", encoding="utf-8")


def remembered() -> dict:
    return json.loads(Path("homework/progress.json").read_text(encoding="utf-8"))["exercises"]


# ---- the whole of it

WRONG_DX = """n = len(dy)
    dx_hat = gamma * dy
    return inv_std / n * (n * dx_hat + dx_hat.sum(axis=0) - x_hat * (dx_hat * x_hat).sum(axis=0))"""


def test_from_the_first_start_to_a_solved_exercise():
    """Also prints what a person saw, for whoever runs this test with -s."""
    homework = Path("homework/batchnorm.py")
    with ptys.loop("--lesson", "batchnorm/closed_form_dx") as terminal:
        seen = terminal.until(r"Wrote homework/batchnorm.py.*not started.*h hint.*q quit")
        assert terminal.screen.cursor_hidden
        ptys.save(homework, 'raise NotImplementedError("not started: closed_form_dx")', WRONG_DX)
        seen = terminal.until(r"FAIL   attempt 1.*mean .*WRONG.*The factor on `mean` is -1", seen)
        terminal.press("h")
        seen = terminal.until(r"Hint: a question.*h again: the term", seen)
        terminal.press("hn")
        seen = terminal.until(r"Hint: the term.*`mean`.*Not yet: n goes on", seen)
        terminal.press("w")
        seen = terminal.until(r"Training loss: digits.*After \d+ steps.*Figure: ", seen)
        ptys.save(homework, "n * dx_hat + dx_hat", "n * dx_hat - dx_hat")
        seen = terminal.until(r"PASS   attempt 2.*n goes on to batchnorm / staged_backward.*1/\d+.*n next", seen)
        terminal.press("n")
        seen = terminal.until(r"staged_backward: homework/batchnorm.py, line \d+.*not started", seen)
        terminal.press("q")
        assert terminal.ended() == 0
        assert terminal.restored
        print(terminal.screen.text)
        assert "q quit" not in terminal.screen.text  # the footer has gone
    solved = remembered()["batchnorm/closed_form_dx"]
    assert (solved["attempts"], len(solved["hints"]), solved["revealed"]) == (2, 2, "")
    assert solved["passed"]
    for kind in ("svg", "png", "npz"):
        assert Path(f"homework/batchnorm-closed_form_dx.{kind}").stat().st_size > 0

    with ptys.loop() as terminal:  # resumed where it was left
        terminal.until(r"1 of \d+ exercises passed.*staged_backward: .*not started")
        terminal.press("l")
        terminal.until(r"pass  closed_form_dx +2 attempts, 2 hints.*> +staged_backward")
        terminal.press("q")
        assert terminal.ended() == 0


def test_the_solution_is_the_last_hint_and_is_remembered():
    with toy() as terminal:
        terminal.until("not started")
        terminal.press("d")
        terminal.until("The diff would show the solution")
        terminal.press("hhd")
        terminal.until(r"Hint: the solution.*x = x \+ x.*--- yours.*\+\+\+ the solution")
        terminal.press("q")
        terminal.ended()
    assert remembered()["toy/double"]["revealed"]


def test_what_a_bug_does_is_shown_without_the_noise_that_it_makes(tmp_path):
    write("return np.log(-1.0 - 0 * x) if times == 1 else 0 * x")
    with toy(MPLCONFIGDIR=str(tmp_path / "new")) as terminal:  # matplotlib's first use of a folder is a loud one
        seen = terminal.until(r"FAIL.*q quit")
        terminal.press("w")
        terminal.until(r"Yours ended in step 2 of \d+: the loss is not a number.*Figure: ", seen)
        assert "Warning" not in terminal.said
        assert "font" not in terminal.said
        terminal.press("q")
        terminal.ended()


def test_reset_asks_first_and_keeps_a_backup():
    write("return 3 * x")
    mine = HOMEWORK.read_text(encoding="utf-8")
    with toy() as terminal:
        terminal.until("FAIL")
        terminal.press("xlx")  # another key in between: no reset
        terminal.until(r"x again.*> .*double.*x again")
        assert HOMEWORK.read_text(encoding="utf-8") == mine
        terminal.press("x")
        terminal.until(r"Your file is kept as homework/backups/toy\.\S+\.py.*not started")
        terminal.press("q")
        terminal.ended()
    (copy,) = Path("homework/backups").iterdir()
    assert copy.read_text(encoding="utf-8") == mine


def test_what_comes_after_the_last_one():
    write("return x * 2**times\ndef halves(x): return x * (x > 0), x * (x < 0)")
    with toy() as terminal:
        terminal.until(r"PASS.*n goes on to toy / halves.*n next")
        terminal.press("n")
        seen = terminal.until(r"halves: homework/toy.py.*PASS.*That was the last one: 2 of 2.*2/2")
        terminal.press("n")
        seen = terminal.until("There is no next one", seen)
        terminal.press("w")
        terminal.until("halves has no training that would show what a bug in it does", seen)
        terminal.press("q")
        assert terminal.ended() == 0


# ---- saves


def test_a_save_calls_off_the_check_under_way():
    write(f"open('pid', 'w').write(str(os.getpid()))\n    {FOREVER}")
    with toy() as terminal:
        terminal.until("checking, ")  # it has taken longer than a second
        HOMEWORK.write_text("def double(x, times=1):\n    return x * 2**times\n", encoding="utf-8")
        terminal.until("PASS   attempt 1")
        assert "TOO SLOW" not in terminal.said
        terminal.press("q")
        assert terminal.ended() == 0


def test_the_loop_survives_whatever_the_code_does():
    write("os._exit(3)")
    with toy() as terminal:
        seen = terminal.until(r"CRASH   attempt 1.*exit code 3")
        write("import signal; os.kill(os.getpid(), signal.SIGSEGV)")
        seen = terminal.until(r"CRASH   attempt 2.*SIGSEGV", seen)
        write("os.write(2, b'flood' * 10_000_000)")
        seen = terminal.until("TOO MUCH OUTPUT   attempt 3", seen)
        write("os.kill(os.getppid(), 0); print('\\x1b[31mred', flush=True); return x * 2**times")
        seen = terminal.until(r"PASS   attempt 4.*\| \?\[31mred", seen)
        HOMEWORK.write_text("def double(x:\n", encoding="utf-8")
        seen = terminal.until(r"CANNOT LOAD   attempt 5.*line 1: def double\(x:", seen)
        HOMEWORK.unlink()
        seen = terminal.until("is not there. Save it again, or press x for a fresh stub", seen)
        terminal.press("x")
        terminal.until(r"Wrote homework/toy.py.*not started", seen)
        terminal.press("q")
        assert terminal.ended() == 0


def test_saving_the_same_again_is_no_new_attempt():
    write("return 3 * x")
    with toy() as terminal:
        seen = terminal.until("attempt 1")
        os.utime(HOMEWORK, ns=(1, 1))
        seen = terminal.until("attempt 1", seen)
        terminal.press("r")
        seen = terminal.until("attempt 1", seen)
        write("return 4 * x")
        terminal.until("attempt 2", seen)
        terminal.press("q")
        terminal.ended()


# ---- the terminal


def test_arrows_and_pasted_text_press_nothing():
    with toy() as terminal:
        seen = terminal.until("q quit")
        for keys in ("\x1b[A\x1b[D", "\x1bOH\x1b[3~", "\x1b[1;5H"):  # up, left; home, delete; control-home
            terminal.press(keys)
            time.sleep(0.2)
        terminal.press("a long text that holds q and x and n")
        time.sleep(0.3)
        terminal.press("?")
        terminal.until("l  list", seen)
        assert terminal.process.poll() is None
        assert "Hint" not in terminal.said
        assert "diff would" not in terminal.said
        terminal.press("Q")
        assert terminal.ended() == 0


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_signals_end_it_with_the_terminal_restored(number, code):
    write(FOREVER)
    with toy() as terminal:
        terminal.until("checking")
        os.kill(terminal.process.pid, getattr(signal, number))
        assert terminal.ended() == code
        assert terminal.restored
        assert "Traceback" not in terminal.said


def test_ctrl_c_and_ctrl_d_are_keys_of_the_terminal():
    for key, code in (("\x03", 130), ("\x04", 0)):
        with toy() as terminal:
            terminal.until("q quit")
            terminal.press(key)
            assert terminal.ended() == code
            assert terminal.restored


def test_an_error_of_ours_is_shown_with_the_terminal_restored():
    code = (
        "from lessons.workbench.loop import session; from lessons.workbench.cli import main\n"
        "def broken(self): raise ZeroDivisionError('planted')\n"
        f"session.Session.show_list = broken; main(['--lesson', {TOY!r}])"
    )
    with ptys.Terminal([sys.executable, "-c", code]) as terminal:
        terminal.until("q quit")
        terminal.press("l")
        assert terminal.ended() == 1
        assert terminal.restored
        assert "ZeroDivisionError: planted" in terminal.said


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs a shell with job control")
def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again():
    """Tell-tale sentences are put together by the shell, so that its echo of what we type does not count."""
    with ptys.Terminal(["bash", "--norc", "--noprofile", "--noediting", "-i"], PS1="$ ") as terminal:
        terminal.press(f"stty -a > before; '{sys.executable}' -m lessons --lesson '{TOY}'\n")
        seen = terminal.until("q quit")
        terminal.press("\x1a")
        seen = terminal.until("Stopped", seen)
        terminal.press("stty -a > stopped; echo a''gain\n")
        seen = terminal.until("again", seen)
        assert not terminal.screen.cursor_hidden
        assert Path("stopped").read_text() == Path("before").read_text()
        terminal.press("fg\n")
        seen = terminal.until("q quit", seen)
        write("return 3 * x")
        seen = terminal.until("FAIL", seen)
        terminal.press("\x1a")
        seen = terminal.until("Stopped", seen)
        terminal.press("bg\n")  # now it goes on behind the shell's back, and must leave the modes alone
        write("return x * 2**times")
        seen = terminal.until("PASS", seen)
        terminal.press("stty -a > meanwhile; echo b''ehind\n")
        seen = terminal.until("behind", seen)
        assert Path("meanwhile").read_text() == Path("before").read_text()
        terminal.press("fg\n")
        seen = terminal.until("n next", seen)
        terminal.press("q")
        time.sleep(0.5)
        terminal.press("stty -a > after; echo e''nded; exit\n")
        terminal.until("ended", seen)
        terminal.ended()
        assert Path("after").read_text() == Path("before").read_text()


def test_a_resized_window_has_one_footer_of_its_width():
    with toy() as terminal:
        terminal.until("not started.*watching")
        for columns in (40, 12, 120):
            terminal.resize(20, columns)
            whole = "░░ 0/2   toy / double   watching homework/toy.py"
            terminal.until(lambda: terminal.screen.text.splitlines()[-2] == whole[: columns - 1])  # noqa: B023
            assert terminal.screen.text.splitlines()[-3] == ""
            assert terminal.screen.text.count("░░ 0/2") == 1
        terminal.press("q")
        assert terminal.ended() == 0


@pytest.mark.parametrize(
    ("arguments", "variables"), [(("--plain",), {}), ((), {"TERM": "dumb"}), (("--json",), {}), ((), {"TERM": ""})]
)
def test_plain_terminals_get_plain_text_and_take_keys(arguments, variables):
    with toy(*arguments, **variables) as terminal:
        terminal.until("not started")
        terminal.press("l")
        terminal.until("halves")
        terminal.press("q")
        assert terminal.ended() == 0
        assert terminal.restored
        assert not terminal.codes


def test_no_color_is_respected():
    write("return 3 * x")
    with toy(NO_COLOR="1") as terminal:
        terminal.until("FAIL.*q quit")
        terminal.press("q")
        terminal.ended()
        assert not [code for code in terminal.codes if code.endswith("m")]


def test_an_ascii_terminal_is_no_problem():
    write("return 3 * x")
    with toy(PYTHONIOENCODING="ascii") as terminal:
        seen = terminal.until(r"2\*x = x \+ x.*FAIL.*-- 0/2")
        terminal.press("w")
        terminal.until("the right one    o yours.*After", seen)
        terminal.press("q")
        assert terminal.ended() == 0
        assert terminal.said.isascii()


# ---- without a terminal


def test_keys_can_come_from_a_pipe_and_wait_for_the_check():
    done = program(keys="h\nlwq")
    assert (done.returncode, done.stderr) == (0, "")
    order = ["not started", "Hint: a question", "toy: Twice is", "Write something first"]
    places = [done.stdout.index(words) for words in order]
    assert places == sorted(places)
    assert "\x1b" not in done.stdout
    assert program(keys="h").returncode == 0  # the end of the keys ends it


def test_without_keys_it_watches_until_it_is_ended():
    write("return 3 * x")
    command = [sys.executable, "-m", "lessons", "--lesson", TOY]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("FAIL" in line for line in iter(process.stdout.readline, ""))
        write("return x * 2**times")
        assert any("PASS" in line for line in iter(process.stdout.readline, ""))
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143


def test_a_reader_that_leaves_ends_it():
    command = [sys.executable, "-m", "lessons", "--lesson", TOY]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        write("return 3 * x")
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_events_for_programs_are_one_object_a_line():
    write("print('hello'); return 3 * x")
    done = program("--json", keys="hwlrdxxq")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(event["schema"] == 1 for event in events)
    names = [event["event"] for event in events]
    assert names[:3] == ["start", "exercise", "verdict"]
    assert {"hint", "consequence", "figure", "list", "message"} <= set(names)
    verdict = events[2]
    assert (verdict["lesson"], verdict["exercise"], verdict["status"]) == ("toy", "double", "failed")
    assert (verdict["passed"], verdict["attempt"], verdict["printed"]) == (False, 1, "hello\n")
    assert verdict["diagnosis"] is None
    (consequence,) = [event for event in events if event["event"] == "consequence"]
    assert len(consequence["yours"]) == len(consequence["right"]) > 10


@pytest.mark.parametrize(
    ("body", "code", "word"), [("return x * 2**times", 0, "PASS"), ("return x", 1, "FAIL"), (DOUBLE, 1, "not started")]
)
def test_once_is_one_verdict_and_an_exit_code(body, code, word):
    write(body)
    done = program("--once")
    assert (done.returncode, done.stderr) == (code, "")
    assert word in done.stdout
    assert "\x1b" not in done.stdout
    done = program("--once", "--json", "--lesson", f"{TOY}/double")  # a passed one is not gone back to unasked
    assert done.returncode == code
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["passed"] is (code == 0)


# ---- the folder


def test_a_second_loop_is_refused_and_one_shot_commands_are_not(capsys):
    with toy() as terminal:
        seen = terminal.until("q quit")
        second = program(keys="q")
        assert second.returncode == 2
        assert re.search(r"another minigrad is at work in homework \(process \d+ on \S+\): end it", second.stderr)
        assert main(["hint", f"{TOY}/double"]) == 0
        assert main(["--lesson", TOY, "--once"]) == 1
        write("return 3 * x")
        terminal.until("FAIL", seen)
        terminal.press("q")
        terminal.ended()
    assert len(remembered()["toy/double"]["hints"]) == 1  # what the other process wrote is still there
    assert program(keys="q").returncode == 0


def test_a_damaged_state_costs_a_notice_and_a_newer_one_is_left_alone():
    write("return 3 * x")
    state = Path("homework/progress.json")
    state.write_text("{ half a", encoding="utf-8")
    done = program("--once")
    assert done.returncode == 1
    assert re.search(r"homework/progress.json was damaged.*progress\.\d+-\d+\.json", done.stdout, re.S)
    state.write_text('{"version": 99}', encoding="utf-8")
    done = program(keys="q")
    assert done.returncode == 2
    assert "newer minigrad (version 99" in done.stderr
    assert state.read_text(encoding="utf-8") == '{"version": 99}'


def test_the_folder_can_be_elsewhere_and_must_be_possible():
    assert program("--once", "--homework", "a/b").returncode == 1
    assert Path("a/b/toy.py").exists()
    Path("taken").write_text("mine", encoding="utf-8")
    done = program("--once", "--homework", "taken")
    assert done.returncode == 2
    assert "taken: cannot make this folder" in done.stderr


# ---- hint, reveal, reset as commands


def test_hints_go_down_the_ladder_and_reveal_is_remembered(capsys):
    write("return 3 * x")
    said = []
    for _ in range(3):
        assert main(["hint", f"{TOY}/double"]) == 0
        said.append(capsys.readouterr().out)
    assert "Add x to itself." in said[0]
    assert "x = x + x" in said[1]
    assert said[2] == said[1]
    assert not remembered().get("toy/halves")
    assert main(["reveal", f"{TOY}/halves"]) == 0
    assert "np.maximum(x, 0), np.minimum(x, 0)" in capsys.readouterr().out
    assert remembered()["toy/halves"]["revealed"]


def test_a_passed_exercise_needs_no_hint(capsys):
    write("return x * 2**times")
    assert main(["hint", f"{TOY}/double"]) == 0
    assert "passes; there is nothing to hint at" in capsys.readouterr().out


def test_reset_as_a_command_says_where_the_backup_is(capsys):
    write("return 3 * x")
    assert main(["reset", f"{TOY}/double"]) == 0
    assert "Your file is kept as homework/backups/toy." in capsys.readouterr().out
    assert DOUBLE in HOMEWORK.read_text(encoding="utf-8")
    assert main(["reset", "nonsense"]) == 2
    assert "no lesson or exercise is called 'nonsense'" in capsys.readouterr().err


def test_check_without_a_name_is_about_the_lesson_in_hand(capsys):
    assert main(["check"]) == 2
    assert "which lesson? homework has none begun" in capsys.readouterr().err
    assert main(["--once", "--lesson", "batchnorm"]) == 1
    capsys.readouterr()
    assert main(["check"]) == 1
    assert "batchnorm: 0 of 4 exercises passed" in capsys.readouterr().out
