"""What the bench shows: the table, the data, the picture, and the command line around them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bench_cases_fake as fake
import pytest

from kernels.bench import roofline, table
from kernels.bench.case import Case, Goal, Work
from kernels.bench.measure import Problem, Report, Row, Setting
from kernels.bench.peaks import Peaks
from kernels.benchmark import Timing

PEAKS = {n: Peaks(n, n * 1e9, n * 1e8, ((1000, n * 1e10), (64000, n * 5e8))) for n in (1, 2)}
FLOPS = Case("conv", "forward  8x8", {"ours": None, "torch": None}, Work(1000, flops=4000), (Goal(0.4),))
WORDS = Case("xnor", "binary", {"ours": None, "torch": None}, Work(1000, words=500), (Goal(1 / 15), Goal(0.75, "peak")))


def report():
    rows = []
    for threads in (1, 2):
        for allocator in ("default", "tuned"):
            setting = Setting(threads, allocator)
            ours = 8e-6 / threads * (2 if allocator == "default" else 1)
            timings = {"ours": Timing("ours", (ours,) * 3), "torch": Timing("torch", (1e-5, 2e-5, 4e-5))}
            rows += [Row(case, setting, timings, PEAKS[threads]) for case in (FLOPS, WORDS)]
    problem = Problem("broken", Setting(2, "tuned"), "torch", "computes something else")
    return Report(rows, [problem], PEAKS)


def test_a_line_has_times_ratios_floor_and_verdict(monkeypatch):
    monkeypatch.setattr(table, "installed", lambda library: library == "torch")
    rows, cases = report().rows, [FLOPS, WORDS]
    words = table.line(rows[2], cases).split()
    #        name               us     /torch  quartiles    floor  limit   reached
    assert words[:10] == ["forward", "8x8", "8.0", "0.40", "0.30-0.60", "4.0", "flops", "50", "%", "0.4:"]
    assert words[10] == "met"
    assert "15x torch: missed by 500 % (2.5x), 75 % of peak: missed by 17 % (63 %)" in table.line(rows[3], cases)
    assert "0.4: missed by 100 %" in table.line(rows[0], cases)
    assert len(table.header(cases).split("goals")[0]) == table.line(rows[2], cases).index("0.4: met")


def test_libraries_that_are_missing_have_no_column(monkeypatch):
    monkeypatch.setattr(table, "installed", lambda library: library != "torch")
    assert "torch" not in table.header([FLOPS])
    found = Row(FLOPS, Setting(), {"ours": Timing("ours", (1e-6,))}, PEAKS[1])
    assert "0.4" not in table.line(found, [FLOPS])


def test_the_summary_counts_goals_and_names_what_was_missed():
    lines = table.summary(report()).splitlines()
    assert lines[0].startswith("8 rows; every result was compared before it was timed")
    met = sum(goal.met(row.towards(goal)) for row in report().rows for goal in row.case.goals)
    assert lines[1] == f"{met} of 12 goals met."
    assert len(lines) == 2 + (12 - met) + 2
    assert lines[-1] == "  broken (2 threads, tuned malloc): torch: computes something else"


def test_the_data_is_json_with_every_number():
    data = json.loads(json.dumps(table.as_data(report()), allow_nan=False))
    assert set(data) == {"format", "machine", "peaks", "rows", "problems"}
    assert data["peaks"][1]["bandwidths"] == [
        {"bytes": 1000, "bytes_per_second": 2e10},
        {"bytes": 64000, "bytes_per_second": 1e9},
    ]
    row = data["rows"][2]
    assert (row["family"], row["case"], row["threads"], row["allocator"]) == ("conv", "forward  8x8", 1, "tuned")
    assert row["timings"]["torch"]["quartiles"] == pytest.approx([1.5e-5, 3e-5])
    assert row["timings"]["torch"]["rounds"] == [1e-5, 2e-5, 4e-5]
    assert row["ratios"]["torch"]["median"] == pytest.approx(0.4)
    assert row["floor"] == {"seconds": 4e-6, "limit": "flops"}
    assert row["reached"] == pytest.approx(0.5)
    assert row["goals"] == [{"of": "torch", "limit": 0.4, "value": pytest.approx(0.4), "met": True}]
    assert data["problems"][0]["library"] == "torch"


def test_the_points_are_operations_a_second_over_operations_a_byte():
    rows = report().rows[2:4]
    (flops,), (words,) = roofline.points(rows, words=False), roofline.points(rows, words=True)
    assert flops[:4] == (1, "forward 8x8", "conv", 4.0)
    assert (flops.ours, flops.torch) == pytest.approx((5e8, 2e8))
    assert (words.name, words.intensity, words.ours) == ("binary", 0.5, pytest.approx(500 / 8e-6))


def test_the_picture_has_the_points_and_both_roofs(tmp_path):
    drawn = roofline.figure(report())
    panels = [axes for axes in drawn.axes if axes.axison]
    assert [axes.get_title() for axes in panels] == 2 * ["1 thread, tuned malloc", "2 threads, tuned malloc"]
    lines = panels[1].get_lines()
    assert [float(y) for line in lines for y in line.get_ydata() if len(line.get_ydata()) == 1] == pytest.approx(
        [0.2, 1.0]  # Gflop/s of torch and of ours on two threads
    )
    hollow = [line for line in lines if line.get_markerfacecolor() == "none" and line.get_marker() != "None"]
    assert len(hollow) == 1
    assert max(float(y) for line in lines[:3] for y in line.get_ydata()) == 2.0  # the roof: two threads' peak
    assert any("1  conv forward 8x8" in text.get_text() for axes in drawn.axes for text in axes.texts)
    roofline.save(report(), tmp_path / "roof.png")
    assert (tmp_path / "roof.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match="nothing to draw"):
        roofline.figure(Report())


# ---- the command line


@pytest.fixture
def fake_bench(monkeypatch):
    from lessons.workbench import bench

    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setitem(bench.FAMILIES, "pool", "bench_cases_fake")

    def choose(*names):
        monkeypatch.setattr(fake, "CASES", tuple(case for case in fake.CASES if case.name in names))

    peaks = "kernels.bench.worker.Worker.call"
    monkeypatch.setattr(peaks, lambda self, module, function: PEAKS[1])
    return choose


def minigrad(*words):
    from lessons.workbench.cli import main

    return main(
        ["bench", "pool", "--threads", "1", "--allocator", "default", "--rounds", "2", "--min-time", "0", *words]
    )


def test_json_is_alone_on_standard_output(fake_bench, capsys):
    fake_bench("right")
    assert minigrad("--json") == 0
    captured = capsys.readouterr()
    assert [row["case"] for row in json.loads(captured.out)["rows"]] == ["right"]
    assert "right" in captured.err


def test_a_wrong_result_is_shown_and_the_exit_code_says_so(fake_bench, capsys):
    fake_bench("right", "wrong")
    assert minigrad() == 1
    output = capsys.readouterr().out
    assert "not timed: wrong (1 thread, default malloc): ours: computes something else than reference" in output
    assert "1 rows" in output


def test_a_picture_is_drawn_where_asked(fake_bench, capsys, tmp_path):
    fake_bench("right")
    assert minigrad("--plot", str(tmp_path / "roof.svg")) == 0
    assert (tmp_path / "roof.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")
    assert "Drawn: " in capsys.readouterr().out


def test_matplotlib_waits_until_it_is_asked_for(fake_bench, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    fake_bench("right")
    assert minigrad() == 0


def test_limits_that_cannot_be_measured_are_one_message(fake_bench, monkeypatch, capsys):
    from kernels.bench.worker import WorkerFailed

    def fail(self, *request):
        raise WorkerFailed("its process ended by signal 4 (SIGILL)")

    fake_bench("right")
    monkeypatch.setattr("kernels.bench.worker.Worker.call", fail)
    assert minigrad() == 2
    assert "limits cannot be measured: its process ended by signal 4" in capsys.readouterr().err
