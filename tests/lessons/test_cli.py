"""The command line, in process and as a program: what it prints, its exit codes, and every way it can go wrong."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lessons.anatomy import Verdict
from lessons.workbench import catalogue, commands, devcheck, doctor, progress, screen
from lessons.workbench.cli import main
from lessons.workbench.loop.state import Store
from lessons.workbench.report import plain

TOY = str(Path(__file__).with_name("toy.py"))
HEAD = """
import numpy as np
from lessons.anatomy import Lesson, Source, Verdict
lesson = Lesson("spoiled", "Spoiled", "none", Source("T", "A", 2000, "https://example.org"), "none", exercises=1)
"""


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def lesson_file(body: str) -> str:
    Path("spoiled.py").write_text(HEAD + body, encoding="utf-8")
    return "spoiled.py"


def files(folder: Path | str = ".") -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())


def program(*arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own; a variable set to "" is removed."""
    environment = {key: value for key, value in {**os.environ, **variables}.items() if value}
    return subprocess.run([sys.executable, "-m", "lessons", *arguments], capture_output=True, env=environment)


# ---- first contact


def test_every_command_explains_itself(capsys):
    for words in (
        [],
        ["list"],
        ["hint"],
        ["reveal"],
        ["reset"],
        ["run"],
        ["stub"],
        ["check"],
        ["errata"],
        ["doctor"],
        ["bench"],
        ["data"],
        ["dev", "check"],
    ):
        assert main([*words, "--help"]) == 0
        assert "usage: minigrad" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"minigrad \d+\.\d+\S*\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fly"], "invalid choice: 'fly'"),
        (["run"], "required: NAME"),
        (["run", TOY, "--seed", "-1"], "--seed"),
        (["run", TOY, "--seed", "1.5"], "must be a non-negative integer, got '1.5'"),
        (["run", TOY, "--quick", "--full"], "not allowed with"),
        (["run", "btchnorm"], "no lesson is called 'btchnorm'; did you mean batchnorm?"),
        (["check", "BatchNorm"], "did you mean batchnorm?"),
        (["errata", "zzz"], "no lesson is called 'zzz'; there are: "),
        (["run", "missing.py"], "missing.py: no such file"),
        (["dev"], "required"),
        (["reveal"], "required: NAME"),
        (["--plain", "list"], "--plain belongs to the bare command"),
        (["--once", "--lesson", "btchnorm"], "no lesson or exercise is called 'btchnorm'; did you mean batchnorm?"),
        (["bench", "batchnorm", "--rounds", "0"], "must be at least 1"),
        (["bench", "batchnrom"], "invalid choice: 'batchnrom'"),
        (["bench", "conv", "--threads", "1,0"], "must be at least 1"),
        (["bench", "conv", "--threads", "100000"], "--threads 100000: this process may use"),
        (["bench", "conv", "--min-time", "nan"], "must be from 0 to 10 seconds, got 'nan'"),
        (["bench", "conv", "--plot", "roof.txt"], "--plot roof.txt: the name must end in"),
        (["bench", "conv", "--plot", "nowhere/roof.png"], "nowhere is no folder that can be written to"),
        (["data", "imagenet"], "invalid choice"),
    ],
)
def test_usage_errors_are_one_message_and_code_2(capsys, arguments, message):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [("x = 1", "is not a lesson"), ("1 / 0", "does not load: ZeroDivisionError"), ("def", "SyntaxError")],
)
def test_a_file_that_is_no_lesson_says_why(capsys, text, message):
    Path("not_one.py").write_text(text, encoding="utf-8")
    assert main(["run", "not_one.py"]) == 2
    assert message in capsys.readouterr().err


# ---- the catalogue


def test_the_catalogue_finds_lessons_by_their_files():
    assert catalogue.Entry("batchnorm", "vision") in catalogue.entries()
    assert not {entry.subject for entry in catalogue.entries()} & catalogue.NOT_SUBJECTS


def test_helpers_tools_and_loose_files_are_no_lessons(tmp_path, monkeypatch):
    for path in ("sub/__init__.py", "sub/real.py", "sub/_helper.py", "sub/deep/__init__.py", "loose.py", "data/x.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("raise SystemExit('listing must not import this')", encoding="utf-8")
    (tmp_path / "data/__init__.py").touch()
    monkeypatch.setattr("lessons.__path__", [str(tmp_path)])
    assert catalogue.entries() == [catalogue.Entry("real", "sub")]


def test_every_lesson_is_named_after_its_file_and_folder():
    for entry in catalogue.entries():
        lesson = catalogue.load(entry)
        assert (lesson.name, lesson.subject) == (entry.name, entry.subject)


def test_list_shows_each_lesson_with_its_facts_under_its_subject(capsys):
    assert main(["list"]) == 0
    output = capsys.readouterr().out
    assert re.search(r"^Vision$(.|\n)*^  batchnorm +The backward pass of batch normalisation$", output, re.M)
    assert re.search(r"^ +\d+ min, 0 of 4 exercises solved, 8 errata$", output, re.M)
    assert re.search(r"^ +Deriving the Gradient for the Backward Pass[^(]*\(Kevin\s+Zakka,\s+2016\)", output, re.M)


def test_list_knows_what_is_solved(capsys):
    store = Store(Path("homework"))
    with store.change() as state:
        state.of("batchnorm/forward").passed = "2026-11-28T09:30:00"
    store.close()
    assert main(["list"]) == 0
    assert "1 of 4 exercises solved" in capsys.readouterr().out
    assert main(["list", "--homework", "elsewhere"]) == 0
    assert "1 of 4 exercises solved" not in capsys.readouterr().out
    assert not Path("elsewhere").exists(), "looking must not create anything"


def test_list_shows_every_lesson_once_after_what_it_needs(capsys):
    assert main(["list"]) == 0
    output = capsys.readouterr().out
    places = {entry.name: output.index(f"\n  {entry.name} ") for entry in catalogue.entries()}
    for entry in catalogue.entries():
        assert output.count(f"\n  {entry.name} ") == 1
        for need in catalogue.load(entry).needs:
            if catalogue.find(need).subject == entry.subject:
                assert places[need] < places[entry.name]


def test_list_names_gives_scripts_the_names_alone(capsys):
    assert main(["list", "--names"]) == 0
    assert capsys.readouterr().out.split() == [entry.name for entry in catalogue.entries()]


def test_list_goes_on_after_a_lesson_that_does_not_load(capsys, monkeypatch):
    monkeypatch.setattr(
        catalogue, "entries", lambda: [catalogue.Entry("gone", "vision"), catalogue.Entry("batchnorm", "vision")]
    )
    assert main(["list"]) == 1
    output = capsys.readouterr().out
    assert "gone: lessons.vision.gone does not load: ModuleNotFoundError" in output
    assert "\n  batchnorm " in output


# ---- run


def test_run_prints_the_account_and_writes_figures_and_report(capsys):
    assert main(["run", TOY, "--quick"]) == 0
    output = capsys.readouterr().out
    for expected in (
        "Twice is the sum of two",
        "rebuilds: On doubling (A. Author, 1999)",
        "Step 1: the γ of the sum",
        "printed 2x = x - x",
        "ok    printed form",
        "figure  minigrad-out/toy/doublings  (.svg, .png, .npz)",
        "Held: 5 claims, all of them.",
        "1 figure and report.json in minigrad-out/toy/",
        "minigrad stub toy",
    ):
        assert expected in output
    assert files() == [
        f"minigrad-out/toy/{name}" for name in ("doublings.npz", "doublings.png", "doublings.svg", "report.json")
    ]


def test_the_report_holds_what_was_measured():
    assert main(["run", TOY, "--quick", "--seed", "7", "--out", "here"]) == 0
    report = json.loads(Path("here/report.json").read_text(encoding="utf-8"))
    assert (report["lesson"], report["size"], report["seed"], report["passed"]) == ("toy", "quick", 7, True)
    assert (report["claims"], report["claims_failed"]) == (5, 0)
    kinds = [section["kind"] for section in report["sections"]]
    assert kinds == ["step", "erratum", "erratum", "experiment", "compare"]
    assert report["sections"][1]["erratum"] == {"kind": "M", "printed": "2x = x - x", "right": "2x = x + x"}
    refuted = report["sections"][1]["items"][0]
    assert (refuted["type"], refuted["measured"], refuted["requirement"]) == ("refuted", 2.0, "> 0.1")
    assert "γ" in report["sections"][0]["title"]


def test_a_seed_gives_the_same_account_again(capsys):
    def account(seed: str) -> str:
        main(["run", TOY, "--quick", "--seed", seed])
        return re.sub(r"\(\d+\.\d s\)", "", capsys.readouterr().out)

    assert account("3") == account("3")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("@lesson.step('s')\ndef s(run): run.claim('c', 2.0, below=1.0)", "not below the bound"),
        ("@lesson.step('s')\ndef s(run): run.claim('c', float('nan'), below=1.0)", "not finite"),
        ("@lesson.step('s')\ndef s(run): raise ValueError('no axis')", "ValueError: no axis"),
        (
            "@lesson.erratum('M', 't', printed='p', right='r')\ndef s(run): run.refuted('p', 0.0, above=1.0)",
            "not above",
        ),
        ("@lesson.compare('s')\ndef s(run): run.compare('c', 2.0, recorded=1.0)", "not below the bound"),
        ("@lesson.step('s')\ndef s(run): pass", "made no claim"),
    ],
)
def test_a_failed_claim_gives_code_1_and_is_repeated_at_the_end(capsys, body, message):
    assert main(["run", lesson_file(body), "--quick"]) == 1
    output = capsys.readouterr().out
    assert message in output
    assert "all of them" not in output
    assert json.loads(Path("minigrad-out/spoiled/report.json").read_text(encoding="utf-8"))["passed"] is False


def test_numbers_that_json_lacks_are_strings():
    values = [float("nan"), float("inf"), 1.5, 2, True, None, "a", (1, 2)]
    assert [plain(value) for value in values] == ["nan", "inf", 1.5, 2, True, None, "a", "(1, 2)"]


def test_an_output_folder_that_is_a_file_is_refused(capsys):
    Path("taken").write_text("mine", encoding="utf-8")
    assert main(["run", TOY, "--quick", "--out", "taken"]) == 2
    assert "--out taken: cannot make this folder" in capsys.readouterr().err
    assert Path("taken").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_an_output_folder_without_permission_is_refused(capsys):
    Path("locked").mkdir(mode=0o500)
    assert main(["run", TOY, "--quick", "--out", "locked"]) == 2
    assert "cannot be written" in capsys.readouterr().err


# ---- homework


def test_from_stub_to_solution(capsys):
    assert main(["stub", TOY]) == 0
    assert "homework/toy.py" in capsys.readouterr().out
    assert main(["check", TOY]) == 1
    output = capsys.readouterr().out
    assert "double: not started" in output
    assert "0 of 2 exercises passed" in output
    text = Path("homework/toy.py").read_text(encoding="utf-8")
    text = text.replace('raise NotImplementedError("not started: double")', "return x * 2**times")
    text = text.replace('raise NotImplementedError("not started: halves")', "return x * (x > 0), x * (x < 0)")
    Path("homework/toy.py").write_text(text, encoding="utf-8")
    assert main(["check", TOY]) == 0
    assert "2 of 2 exercises passed" in capsys.readouterr().out


def test_a_stub_never_overwrites(capsys):
    Path("mine.py").write_text("my work", encoding="utf-8")
    assert main(["stub", TOY, "--out", "mine.py"]) == 2
    assert "mine.py exists and may hold your work" in capsys.readouterr().err
    assert Path("mine.py").read_text(encoding="utf-8") == "my work"


def test_a_stub_can_go_elsewhere_or_be_printed(capsys):
    assert main(["stub", TOY, "--out", "a/b.py"]) == 0
    assert f"minigrad check {TOY} a/b.py" in Path("a/b.py").read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["stub", TOY, "--out", "-"]) == 0
    compile(capsys.readouterr().out, "stub", "exec")
    assert files() == ["a/b.py"]


def test_a_stub_in_an_impossible_place_is_refused(capsys):
    Path("file").write_text("", encoding="utf-8")
    assert main(["stub", TOY, "--out", "file/stub.py"]) == 2
    assert "cannot write file/stub.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (None, 2, "no such file; `minigrad stub"),
        ("def double(x:", 1, "is not valid Python"),
        ("x = 1", 1, "defines none of the exercises"),
        ("def double(x, times=1): return x", 1, "hint: Add x to itself."),
        ("def double(x, times=1): return x / None", 1, "work.py, line 1, in double"),
    ],
)
def test_check_says_what_is_wrong_with_a_file(capsys, text, code, message):
    if text is not None:
        Path("work.py").write_text(text, encoding="utf-8")
    assert main(["check", TOY, "work.py"]) == code
    captured = capsys.readouterr()
    assert message in captured.out + captured.err
    assert "Traceback" not in captured.err


def test_a_folder_is_no_homework(capsys):
    Path("folder.py").mkdir()
    assert main(["check", TOY, "folder.py"]) == 2
    assert "cannot read folder.py" in capsys.readouterr().err


# ---- errata and dev check


def test_errata_shows_printed_and_right_with_numbers(capsys):
    assert main(["errata", TOY]) == 0
    output = capsys.readouterr().out
    assert "On doubling (A. Author, 1999)" in output
    assert "[M] the sign of the second x" in output
    assert re.search(r"^    printed   2x = x - x$", output, re.M)
    assert re.search(r"^    right     2x = x \+ x$", output, re.M)
    assert re.search(r"^    measured  .*\(> 0.1: refuted\)", output, re.M)
    assert "2 errata" in output


def test_errata_as_json(capsys):
    assert main(["errata", TOY, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["errata"]
    assert len(found) == 2
    first = found[0]
    assert first["lesson"] == "toy"
    assert first["source"] == {
        "title": "On doubling", "author": "A. Author", "year": 1999, "link": "https://example.org/doubling"
    }  # fmt: skip
    assert (first["kind"], first["printed"], first["right"]) == ("M", "2x = x - x", "2x = x + x")
    assert first["held"] is True
    kinds = [piece["kind"] for piece in first["evidence"]]
    assert kinds[:1] == ["refuted"]
    assert all(isinstance(piece["measured"], float) for piece in first["evidence"])


def test_errata_as_markdown(capsys):
    assert main(["errata", "batchnorm", "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 8
    assert {line.replace("\\|", "").count("|") for line in table} == {5}, "one cell more or less breaks a table"
    assert any("http://kevinzakka.github.io" in line for line in lines)


def test_a_bar_or_a_line_break_does_not_break_the_markdown_table(capsys):
    name = lesson_file(
        "@lesson.erratum('N', 't', printed='|x|\\ny', right='`z`')\ndef s(run): run.claim('c', 0.5, below=1.0)"
    )
    assert main(["errata", name, "--markdown"]) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(table) == 3
    assert {line.replace("\\|", "").count("|") for line in table} == {5}


@pytest.mark.parametrize("form", [[], ["--json"], ["--markdown"]])
def test_errata_that_do_not_hold_give_code_1(capsys, form):
    name = lesson_file("@lesson.erratum('N', 't', printed='p', right='r')\ndef s(run): run.claim('c', 2.0, below=1.0)")
    assert main(["errata", name, *form]) == 1
    output = capsys.readouterr().out
    if not form:
        assert "the evidence of 1 does not hold" in output
        assert "not below the bound" in output
    elif form == ["--json"]:
        assert json.loads(output)["errata"][0]["held"] is False


def test_a_lesson_without_errata(capsys):
    assert main(["errata", lesson_file("")]) == 0
    assert "0 errata" in capsys.readouterr().out


EXERCISE = """
@lesson.exercise(hint="h")
def treble(x):
    '''Three times x.'''
    return 3 * x
"""
CHECK = """
@lesson.check("treble")
def check(candidate):
    x = np.arange(1.0, 4.0)
    return Verdict.from_arrays("treble", candidate(x), 3 * x, 1e-12)
"""
BLIND_TO_SIGN = """
@lesson.check("treble")
def check(candidate): return Verdict(bool(candidate(np.ones(2)).sum() ** 2 == 36.0))
"""
PASSES_STUBS = """
@lesson.check("treble")
def check(candidate):
    try:
        candidate(np.ones(2))
    except NotImplementedError:
        pass
    return Verdict(True)
"""
MISTAKE = """
@lesson.mistake("treble", "doubles")
def doubles(x): return 2 * x
"""


def test_dev_check_is_content_with_sound_lessons(capsys):
    assert main(["dev", "check", TOY]) == 0
    assert "2 exercises: stubs, solutions and 3 declared mistakes are told apart." in capsys.readouterr().out
    assert main(["dev", "check", lesson_file(EXERCISE + CHECK + MISTAKE)]) == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (EXERCISE, "treble: has no check"),
        (EXERCISE + CHECK, "declares no mistake"),
        ("", "declares 1 exercises, but 0 are registered"),
        (EXERCISE + CHECK + MISTAKE + "lesson.exercises = None", "declare exercises=1"),
        (EXERCISE.replace("3 *", "4 *") + CHECK + MISTAKE, "the solution does not pass"),
        (EXERCISE + CHECK + MISTAKE.replace("2 *", "3 *"), "the mistake 'doubles' should fail"),
        (EXERCISE + CHECK + MISTAKE.replace("return 2 * x", "raise ValueError"), "the mistake 'doubles' should fail"),
        (EXERCISE + CHECK.replace("arange(1.0, 4.0)", "zeros(3)") + MISTAKE, "'result doubled' should fail"),
        (EXERCISE + BLIND_TO_SIGN + MISTAKE, "the mistake 'result negated' should fail"),
        (EXERCISE + PASSES_STUBS + MISTAKE, 'the stub is reported as "passed"'),
    ],
)
def test_dev_check_finds_what_is_unsound(capsys, body, message):
    assert main(["dev", "check", lesson_file(body)]) == 1
    assert message in capsys.readouterr().out


def test_one_unchecked_result_of_several_is_found():
    toy = catalogue.find(TOY)
    exercise = toy.exercise_named("halves")

    def forgets_the_second(candidate):
        x = np.random.default_rng(1).normal(size=5)
        return Verdict.from_arrays("positive", candidate(x)[0], np.maximum(x, 0), 1e-12)

    assert devcheck.problems(toy) == []
    exercise.check = forgets_the_second
    found = devcheck.problems(toy)
    assert len(found) == 3
    assert all("result 1" in problem for problem in found)


# ---- doctor


def test_doctor_reports_every_probe(capsys):
    assert main(["doctor"]) == 0
    output = capsys.readouterr().out
    for probe in doctor.PROBES:
        assert f"  {probe.name} " in output


def test_doctor_compiles_each_kernel_when_asked(capsys, monkeypatch):
    from kernels.bench import first_call

    monkeypatch.setattr(first_call, "seconds", lambda module, case: (1.5, 0.125))
    assert main(["doctor", "--kernels"]) == 0
    output = capsys.readouterr().out
    for family in ("conv forward", "conv dx", "batchnorm backward", "bilinear forward", "xnor", "pool max"):
        assert family in output
    assert "first call 1.50 s, compiling; 0.12 s in the next process" in output


def crash() -> doctor.Finding:
    raise OSError("the disk is on fire")


def test_a_probe_that_crashes_does_not_end_the_doctor(capsys):
    probes = [doctor.Probe("first", crash, remedy="buy a disk"), doctor.Probe("second", lambda: doctor.Finding("fine"))]
    assert doctor.examine(probes) is True
    output = capsys.readouterr().out
    assert "look    first   failed: OSError: the disk is on fire" in output
    assert "-> buy a disk" in output
    assert "ok      second  fine" in output
    assert doctor.examine([doctor.Probe("first", crash, essential=True)]) is False
    assert "broken  first" in capsys.readouterr().out


def test_doctor_gives_code_1_when_something_essential_is_broken(monkeypatch):
    monkeypatch.setattr(doctor, "PROBES", (doctor.Probe("p", crash, essential=True),))
    assert main(["doctor"]) == 1


def test_a_missing_package_is_broken_and_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    probe = next(probe for probe in doctor.PROBES if probe.name == "matplotlib")
    assert probe.finding().broken
    assert probe.finding().advice == "pip install matplotlib"


def test_what_doctor_thinks_of_openblas():
    pool = {"user_api": "blas", "internal_api": "openblas", "version": "0.3", "num_threads": 2}
    old = doctor.blas_finding([{**pool, "architecture": "Haswell"}], {"avx512f": True})
    assert "OPENBLAS_CORETYPE=SkylakeX" in old.advice
    assert not doctor.blas_finding([{**pool, "architecture": "Haswell"}], {"avx512f": False}).advice
    assert not doctor.blas_finding([{**pool, "architecture": "SkylakeX"}], {"avx512f": True}).advice
    assert "none" in doctor.blas_finding([{"user_api": "openmp"}], {}).text


def test_what_doctor_thinks_of_the_rest():
    assert doctor.simd_names({"avx2": True, "avx512f": False, "neon": True}) == ["avx2", "neon"]
    assert doctor.kernel_finding(1e-6, "fast").broken is False
    assert doctor.kernel_finding(1e-2, "fast").broken is True
    assert doctor.kernel_finding(float("nan"), "fast").broken is True
    assert not doctor.cache_finding("a folder").advice
    assert "NUMBA_CACHE_DIR" in doctor.cache_finding(None).advice
    assert not doctor.first_call_finding(2.9, 0.2).advice
    assert "3 s" in doctor.first_call_finding(3.1, 0.2).advice
    assert doctor.first_call_finding(2.9, 0.4).advice


# ---- screens


def test_no_character_stops_an_ascii_screen():
    done = program("run", TOY, "--quick", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"2*x = x + x" in done.stdout
    assert b"the gamma of the sum" in done.stdout


def test_the_posix_locale_is_no_problem():
    done = program("list", LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", PYTHONIOENCODING="")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("character", "spelled"),
    [
        ("γ", "gamma"),
        ("Σ", "Sigma"),
        ("∑", "sum"),
        ("×", "x"),
        ("é", "e"),
        ("\u0302", ""),
        ("漢", "?"),
        ("²", "2"),
        ("−", "-"),
    ],
)
def test_characters_are_spelled_in_ascii(character, spelled):
    assert screen.ascii_for(character) == spelled


@pytest.mark.parametrize("unbuffered", ["1", ""])
def test_a_reader_that_leaves_early_is_no_error(unbuffered):
    command = [sys.executable, "-m", "lessons", "run", TOY, "--quick"]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait() == 141
    assert errors == b""


@pytest.mark.skipif(os.name != "posix", reason="closes a stream with a POSIX shell")
def test_a_closed_standard_output_is_no_error():
    command = f"'{sys.executable}' -m lessons run '{TOY}' --quick >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


def terminal(*arguments: str, **variables: str) -> str:
    """What a person at a terminal of 80 columns sees, standard output and error together."""
    leader, follower = pytest.importorskip("pty").openpty()
    mine = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    environment = {**mine, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **variables}
    with subprocess.Popen(
        [sys.executable, "-m", "lessons", *arguments], stdin=follower, stdout=follower, stderr=follower, env=environment
    ) as process:
        os.close(follower)
        seen = b""
        with contextlib.suppress(OSError):  # Linux reports the end of a terminal as an error
            while chunk := os.read(leader, 4096):
                seen += chunk
        process.wait()
    os.close(leader)
    return seen.decode()


def test_a_terminal_gets_colour_and_bars():
    seen = terminal("run", TOY, "--quick")
    assert "\x1b[32mok" in seen
    assert re.search(r"\rdoubling █+ 10/10", seen)
    assert seen.index("Many doublings") < seen.index("doubling █")


def test_no_color_and_dumb_terminals_are_respected():
    assert "\x1b" not in terminal("run", TOY, "--quick", NO_COLOR="1")
    seen = terminal("run", TOY, "--quick", TERM="dumb")
    assert "\x1b" not in seen
    assert "10/10" not in seen


def test_without_a_terminal_nothing_moves():
    done = program("run", TOY, "--quick")
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"\x1b" not in done.stdout
    assert b"\r" not in done.stdout


# ---- bars


@pytest.mark.parametrize("columns", [1, 5, 20, 40, 80, 200])
@pytest.mark.parametrize("total", [None, 0, 7])
def test_a_bar_is_always_narrower_than_the_terminal(columns, total):
    for fancy in (True, False):
        text = progress.bar_text("a long description of x̂ " * 3, 3, total, 1.0, columns, fancy)
        assert progress.width_of(text) < columns


def test_a_bar_shows_its_share():
    assert progress.bar_text("train", 5, 10, 2.0, 100, False) == f"train {'#' * 15}{'-' * 15} 5/10  2 s, 2 s left"
    assert progress.bar_text("train", 5, None, 2.0, 80, True) == "train 5  2 s"
    assert progress.bar_text("train", 12, 10, 2.0, 80, False).startswith(f"train {'#' * 30} 12/10")


class Terminal(io.StringIO):
    encoding = "ascii"

    def isatty(self):
        return True


def test_bars_of_inner_loops_are_not_drawn_and_breaks_end_the_line():
    stream = Terminal()
    show = progress.Bars(stream).show
    for i in show([1, 2, 3], "outer", 3):
        assert list(show([1, 2], "inner", 2)) == [1, 2]
        if i == 2:
            break
    else:
        pytest.fail("the loop was to be left early")
    gc.collect()  # the abandoned loop is closed when it is collected
    assert "inner" not in stream.getvalue()
    assert stream.getvalue().endswith("\n")
    assert list(show([1], "next", 1)) == [1]
    assert "next" in stream.getvalue()


def test_no_bars_without_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert progress.bars(io.StringIO()) is None
    assert progress.bars(Terminal()) is not None
    monkeypatch.setenv("TERM", "dumb")
    assert progress.bars(Terminal()) is None


def test_a_transfer_names_each_file_once_without_a_terminal(monkeypatch):
    stream = io.StringIO()
    with progress.Transfer(stream) as transfer:
        for done in (0, 500, 1000):
            transfer.report("a.gz", done, 1000)
        transfer.report("b.gz", 10, None)
    assert stream.getvalue() == "a.gz\nb.gz\n"
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with progress.Transfer(stream) as transfer:
        transfer.report("a.gz", 2_000_000, 4_000_000)
    assert "2000/4000" in stream.getvalue()


# ---- interrupts

SLOW = """
import itertools
from matplotlib.figure import Figure

@lesson.step("draws")
def draws(run):
    figure = Figure()
    figure.subplots()
    run.figure("empty", figure, alt="empty axes")
    run.claim("drawn", 0.0, below=1.0)

@lesson.step("forever")
def forever(run):
    for i in itertools.count():
        figure = Figure()
        figure.subplots()
        run.figure(f"again{i}", figure, alt="empty axes")
"""

# A shell that runs tests in the background makes its children ignore SIGINT, so the handler is set here.
INTERRUPTIBLE = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from lessons.workbench.cli import main; sys.exit(main(sys.argv[1:]))"
)


def interrupted(process):
    """What a process says on its way out after Ctrl-C, pressed again if Python lost the first one in a destructor."""
    while True:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=20)[1]


def test_ctrl_c_ends_with_130_and_leaves_only_whole_files():
    name = lesson_file(SLOW)
    Path("out").mkdir()
    Path("out/report.json").write_text('{"of": "an earlier run"}', encoding="utf-8")
    for wait in (0.0, 0.03, 0.1):
        with subprocess.Popen(
            [sys.executable, "-c", INTERRUPTIBLE, "run", name, "--quick", "--out", "out"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            while b"drawn" not in process.stdout.readline():
                assert process.poll() is None
            time.sleep(wait)
            errors = interrupted(process)
            assert process.returncode == 130
        assert b"interrupted" in errors
        assert b"Traceback" not in errors
        left = set(files("out"))
        assert all(re.fullmatch(r"(empty|again\d+)\.(svg|png)", name) for name in left), left
        assert {"empty.svg", "empty.png"} <= left
        for path in Path("out").glob("*.svg"):
            assert path.read_text(encoding="utf-8").rstrip().endswith("</svg>")


# ---- commands that lead elsewhere


def test_data_takes_local_files_and_refuses_what_is_missing(capsys, tmp_path):
    assert main(["data", "mnist", "--from", str(tmp_path / "nowhere"), "--out", "there"]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["data", "mnist", "--from", str(tmp_path / "empty"), "--out", "there"]) == 2
    assert "train-images-idx3-ubyte" in capsys.readouterr().err


def test_data_reports_what_arrived(capsys, monkeypatch):
    def fetch(source, destination, progress):
        progress("train.gz", 5, 10)
        progress("train.gz", 10, 10)
        return [destination / "train.gz"]

    monkeypatch.setattr("lessons.data.download.fetch_mnist", fetch)
    assert main(["data", "mnist", "--out", "there"]) == 0
    captured = capsys.readouterr()
    assert "1 file in there" in captured.out
    assert captured.err == "train.gz\n"


def test_an_error_of_the_library_is_one_message(capsys, monkeypatch):
    from minigrad.errors import ShapeError

    def fail(args):
        raise ShapeError("matmul: shapes (2, 3) and (2, 3) do not fit")

    monkeypatch.setattr(commands, "list_lessons", fail)
    assert main(["list"]) == 2
    assert capsys.readouterr().err == "minigrad: matmul: shapes (2, 3) and (2, 3) do not fit\n"


def test_a_bug_of_ours_is_not_hidden(monkeypatch):
    def fail(args):
        raise ValueError("a bug")

    monkeypatch.setattr(commands, "list_lessons", fail)
    with pytest.raises(ValueError, match="a bug"):
        main(["list"])
