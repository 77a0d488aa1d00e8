"""The recurrent-network lesson: known numbers, honest probabilities, figures that show what was measured."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

import minigrad as mg
from lessons.anatomy import Run
from lessons.anatomy.consequence import side_by_side
from lessons.data.errors import DataError
from lessons.sequences import _rnn_text, rnn
from lessons.sequences.rnn import lesson


@pytest.fixture(scope="module")
def run(quick_run) -> Run:
    return quick_run("rnn")


def data(run: Run, name: str) -> dict[str, np.ndarray]:
    with np.load(run.out / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def claims_of(run: Run, part: str) -> dict[str, object]:
    (section,) = (section for section in run.sections if section.part.name == part)
    return {claim.text: claim.measured for claim in section.claims}


# ---- the run


def test_headline_the_network_approaches_the_entropy_rate_and_does_not_pass_it(run):
    source = run.results["source"]
    alone, after_one, rate = source["entropies"]
    assert alone > after_one > rate > 0
    assert -source["margin"] < source["excess"] < 0.1
    assert rate + source["excess"] < after_one - 0.3, "it remembers two steps"


def test_both_networks_learn_more_than_single_letters(run):
    networks = run.results["networks"]
    assert set(networks["scores"]) == {"RNN", "LSTM"}
    for scores in networks["scores"].values():
        assert len(scores) == 2
        assert (scores < run.results["n-gram bits"][0] - 0.8).all()


def test_held_out_text_that_is_repeated_flatters_the_table(run):
    honest, leaked = run.results["leak"]
    assert leaked < honest - 0.1


# ---- errata


def test_the_slips_of_notation(run):
    assert [part.name for part in lesson.errata] == ["one_letter_two_shapes", "nine_digits", "shape_of_a_deep_lstm"]
    assert all(part.erratum.kind == "N" for part in lesson.errata)
    assert claims_of(run, "one_letter_two_shapes")["with two matrices"] == 0
    digits = claims_of(run, "nine_digits")
    assert digits["digits beyond 9 that counting down from 1845098 uses"] == 1
    deep = claims_of(run, "shape_of_a_deep_lstm")
    assert deep["the second layer of minigrad's nn.LSTM: rows and columns"] == (20, 10)


# ---- exact answers


def test_one_step_by_hand():
    x, h = np.array([[1.0, -2.0]]), np.array([[0.5]])
    w_xh, w_hh, b = np.array([[3.0, 1.0]]), np.array([[-4.0]]), np.array([0.25])
    state, z = rnn.rnn_step(x, h, w_xh, w_hh, b)
    assert z.item() == 3 - 2 - 2 + 0.25
    assert state.item() == np.tanh(-0.75)


def test_two_steps_back_by_hand():
    # h1 = tanh(w x1), h2 = tanh(w x2 + u h1), the loss sees h2 alone.
    w, u, x1, x2 = 0.7, -1.3, 0.4, -0.9
    h1 = np.tanh(w * x1)
    h2 = np.tanh(w * x2 + u * h1)
    x, h = np.array([x1, x2]).reshape(2, 1, 1), np.array([0.0, h1, h2]).reshape(3, 1, 1)
    dh = np.array([0.0, 1.0]).reshape(2, 1, 1)
    dx, dh0, dw, du, db = rnn.rnn_backward(dh, x, h, np.array([[w]]), np.array([[u]]))
    d2 = 1 - h2**2
    d1 = d2 * u * (1 - h1**2)
    want = ([d1 * w, d2 * w], d1 * u, d2 * x2 + d1 * x1, d2 * h1, d1 + d2)
    for got, expected in zip((dx.ravel(), dh0, dw, du, db), want, strict=True):
        assert np.allclose(got, expected, rtol=1e-14, atol=0)


def test_one_lstm_step_by_hand_in_the_order_of_the_notes():
    # One unit, and every gate sees its bias alone: i = 1/2, f = 0, o = 1, g = tanh(1).
    w, b = np.zeros((4, 2)), np.array([0.0, -1e3, 1e3, 1.0])
    with np.errstate(over="ignore"):
        h, c = rnn.lstm_step(np.ones((1, 1)), np.ones((1, 1)), np.full((1, 1), 7.0), w, b)
    assert c.item() == pytest.approx(np.tanh(1.0) / 2, rel=1e-15)
    assert h.item() == pytest.approx(np.tanh(np.tanh(1.0) / 2), rel=1e-15)


def test_clipping_three_four_five():
    short = rnn.clip_by_norm([np.array([3.0]), np.array([[4.0]])], 1.0)
    assert short[0].item() == pytest.approx(0.6, rel=1e-15)
    assert short[1].item() == pytest.approx(0.8, rel=1e-15)
    assert np.array_equal(rnn.clip_by_norm([np.array([3.0, 4.0])], 5.0)[0], [3, 4])
    assert np.array_equal(rnn.clip_by_norm([np.zeros(2)], 1.0)[0], [0, 0])


def test_bits_by_hand():
    logits = np.log([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
    assert rnn.bits_per_character(logits, np.array([0, 1])) == pytest.approx((1 + 3) / 2, rel=1e-15)
    assert rnn.bits_per_character(np.array([[0.0, 2000.0]]), np.array([1])) == 0


def test_norms_of_jacobians_are_powers(run):
    lags = run.results["lag"]["linear"]
    for s, two_digits in ((0.5, "8.9e-16"), (1.0, "1.0e+00"), (1.5, "6.4e+08")):
        assert f"{lags[s][50]:.1e}" == two_digits
        assert np.allclose(lags[s], s ** np.arange(51), rtol=1e-12)
        assert (run.results["lag"]["tanh"][s][1:] < lags[s][1:]).all()


def test_truncation_cuts_exactly_what_crosses():
    problem = rnn.draw(np.random.default_rng(3), T=10)
    whole, cut = rnn.by_hand(problem), rnn.truncated(problem, 10)
    for got, want in zip(cut, (whole[0], *whole[2:]), strict=True):
        assert np.allclose(got, want, rtol=1e-13)
    # Cut at every step, what is left is the direct part that the tape finds when all states are detached.
    dx, _, dw_xh, dw_hh, db = rnn.on_the_tape(problem, cut=True)
    for got, want in zip(rnn.truncated(problem, 1), (dx, dw_xh, dw_hh, db), strict=True):
        assert np.allclose(got, want, rtol=1e-12)
    # 10 = 4 + 4 + 2: the last piece is shorter.
    assert rnn.truncated(problem, 4)[0].shape == problem.x.shape


def test_half_lives():
    assert rnn.half_life(0.0) == pytest.approx(1, rel=1e-12)
    assert rnn.sigmoid(3.0) ** rnn.half_life(3.0) == pytest.approx(0.5, rel=1e-12)


def test_nats_are_called_nats():
    exercise = lesson.exercise_named("bits_per_character")
    assert any("nats, not bits" in line for line in exercise.check(exercise.mistakes["gives nats"]).lines)
    others = [name for name in exercise.mistakes if name != "gives nats"]
    assert not any("nats" in line for name in others for line in exercise.check(exercise.mistakes[name]).lines)


def test_without_a_gradient_through_time_the_small_network_learns_far_less():
    exercise = lesson.exercise_named("rnn_backward")
    wrong = exercise.mistakes["forgets what comes from the later steps"]
    compared = side_by_side(exercise.consequence, wrong, exercise.solution, seconds=60, steps=300)
    assert compared.yours.smooth()[-1] > 10 * compared.right.smooth()[-1]
    assert compared.yours.smooth()[-1] < 0.5 * compared.yours.losses[0], "and yet it learns"


# ---- n-grams


def test_n_grams_count_within_blocks_only():
    blocks = np.array([[0, 1, 0, 1], [2, 0, 2, 2]])
    models = rnn.NGrams(blocks, 2, 3)
    zero = models.next_symbol(np.array([], dtype=int))
    assert np.allclose(zero, (np.array([3, 2, 3]) + 3 / 3) / (8 + 3))
    # After 1 only 0 has come, once: the 1 that ends the first block is followed by nothing.
    assert np.allclose(models.next_symbol(np.array([1])), (np.array([1, 0, 0]) + zero) / 2)
    assert np.array_equal(models.next_symbol(np.array([1, 1])), models.next_symbol(np.array([1]))), "a new context"
    assert rnn.Counts(np.array([5, 5, 9]))[np.array([5, 9, 7, 100])].tolist() == [2, 1, 0, 0]


def test_n_gram_probabilities_add_up_to_one(run):
    models, text = run.results["n-grams"], run.results["text"]
    for length in range(7):
        assert models.next_symbol(text.test[1, 40 : 40 + length]).sum() == pytest.approx(1, abs=1e-12)
    assert (models.probabilities(text.test) > 0).all()


# ---- the source


def test_entropies_of_sources_that_are_known():
    fair = np.full((2, 2, 2), 0.5)
    assert rnn.entropies(fair) == pytest.approx((1, 1, 1), abs=1e-12)
    # The next symbol is the one before the last, but for a coin that falls wrong one time in ten.
    echo = np.array([[[0.9, 0.1], [0.9, 0.1]], [[0.1, 0.9], [0.1, 0.9]]])
    coin = -(0.9 * np.log2(0.9) + 0.1 * np.log2(0.1))
    assert rnn.entropies(echo) == pytest.approx((1, 1, coin), abs=1e-12)


def test_samples_follow_the_table():
    table = rnn.draw_source()
    assert np.allclose(table.sum(axis=2), 1)
    drawn = rnn.sample_source(table, 200, 400, np.random.default_rng(0))
    counts = np.zeros(table.shape)
    np.add.at(counts, (drawn[:, :-2], drawn[:, 1:-1], drawn[:, 2:]), 1)
    often = counts.sum(axis=2) > 2000
    assert often.sum() > 5
    shares = counts[often] / counts[often].sum(axis=1, keepdims=True)
    assert np.abs(shares - table[often]).max() < 0.05
    assert np.abs(counts.sum(axis=2) / counts.sum() - rnn.long_run(table)).max() < 0.01


# ---- models and training


def test_parameters_are_counted_and_matched():
    for kind in rnn.KINDS:
        model = rnn.CharacterModel(kind, 7, 5)
        assert sum(p.numel() for p in model.parameters()) == rnn.parameters_of(kind, 7, 5)
    sizes = rnn.SIZES["default"]
    counts = [rnn.parameters_of(kind, 59, rnn.hidden_for(kind, 59, sizes.parameters)) for kind in rnn.KINDS]
    assert max(counts) / min(counts) < 1.01


@pytest.mark.parametrize("kind", rnn.KINDS)
def test_training_is_repeatable(kind):
    def losses(seed: int) -> list[float]:
        mg.manual_seed(seed)
        blocks = np.random.default_rng(1).integers(0, 5, (4, 41))
        batches = rnn.pieces(blocks, 2, 10, np.random.default_rng(seed))
        done = rnn.train(rnn.CharacterModel(kind, 5, 6), batches, 6, 0.01, blocks, looks=3)
        assert done.characters == [40, 80, 120]
        return done.held_out

    assert losses(0) == losses(0)
    assert losses(0) != losses(1)


def test_pieces_follow_each_other():
    blocks = np.arange(24).reshape(4, 6)
    first, second, third, fourth = (
        next(batches) for batches in [rnn.pieces(blocks, 2, 5, np.random.default_rng(0))] * 4
    )
    assert [batch.anew for batch in (first, second, third, fourth)] == [True, False, True, False]
    assert np.array_equal(first.symbols[-1], second.symbols[0]), "the last target is the next input"
    assert first.symbols.shape == (6, 2)


def test_a_lower_temperature_sharpens():
    logits = np.log([[0.2, 0.8]])
    assert np.allclose(rnn.with_temperature(logits, 1.0), [[0.2, 0.8]])
    assert np.allclose(rnn.with_temperature(logits, 0.5), [[0.04 / 0.68, 0.64 / 0.68]])


def test_written_text_is_text_of_the_length_asked_for():
    mg.manual_seed(0)
    model = rnn.CharacterModel("LSTM", 59, 4)
    written = rnn.write(model, 1.0, 3, 20, np.random.default_rng(0))
    assert [len(text) for text in written] == [20, 20, 20]
    assert set("".join(written)) <= set(_rnn_text.ALPHABET)


# ---- the text


def test_paragraphs_are_one_line_in_the_alphabet():
    topics = {"b": "The “end”.\n*****\n\nSecond\n   paragraph…", "a": "One\n\n***\n\nTWO ½"}
    assert _rnn_text.paragraphs(topics) == ["one", "two ", 'the "end".', "second paragraph"]


def test_repeated_paragraphs_are_left_out_unless_kept():
    sentence = ["paragraph number " + "".join(chr(97 + int(d)) for d in str(k)) for k in range(20_000)]
    topics = {"first": "\n\n".join(sentence), "second": "\n\n".join(sentence[:5000])}
    text = _rnn_text.load_text(topics)
    assert text.repeated == pytest.approx(0.2, abs=0.02)
    assert text.train.shape == (160, 1500)
    assert text.test.shape == (40, 1500)
    whole = "\n".join(_rnn_text.paragraphs({"first": topics["first"]}))
    assert _rnn_text.as_text(text.train[:4].ravel()) == whole[:6000]
    assert _rnn_text.as_text(text.test[0]) == whole[6000:7500], "every fifth block is held out"
    assert len(set(_rnn_text.as_text(text.test.ravel()).split("\n"))) > 2000
    assert _rnn_text.as_text(_rnn_text.as_symbols("a b\n_")) == "a b\n_"


def test_too_little_text_is_refused():
    with pytest.raises(DataError, match=r"has 3 characters.* needs 300000"):
        _rnn_text.load_text({"short": "abc"})


def test_a_python_without_the_text_is_told_so():
    with pytest.raises(DataError, match="stripped of the text of help"):
        _rnn_text.documentation("pydoc_data_is_not_here.topics")


def test_the_text_is_that_of_this_python(monkeypatch):
    module = ModuleType("topics_of_a_test")
    module.topics = {"x": "text"}
    monkeypatch.setitem(sys.modules, "topics_of_a_test", module)
    assert _rnn_text.documentation("topics_of_a_test") == {"x": "text"}


# ---- figures


def test_figure_of_the_memories_shows_who_remembers_what(run):
    shown = data(run, "rnn-memory")
    lower = np.tri(6, dtype=bool)
    assert np.array_equal(shown["no_memory"] > 0, np.eye(6, dtype=bool))
    assert np.array_equal(shown["one_step"] > 0, lower & ~np.tri(6, k=-2, dtype=bool))
    assert np.array_equal(shown["full_memory"] > 0, lower)


def test_figure_of_the_unrolled_graph_has_every_arrow(run):
    edges = set(data(run, "rnn-unrolled")["edges"])
    assert len(edges) == 12
    assert {"x1 -> h1", "h0 -> h1", "h3 -> h4", "h4 -> y4"} <= edges


def test_figure_of_the_truncation_orders_the_matrices(run):
    shown = data(run, "rnn-truncation")
    assert shown["lengths"].tolist() == [1, 2, 4, 8, 16, 32, 64]
    assert (shown["s 0.5"][:-1] < shown["s 1.5"][:-1]).all()
    assert max(shown[f"s {s}"][-1] for s in (0.5, 1.0, 1.5)) < 1e-13


def test_figure_of_the_lags_starts_at_one(run):
    shown = data(run, "rnn-lag")
    networks = {f"{kind} {state}" for kind in rnn.KINDS for state in ("untrained", "trained")}
    assert set(shown) == networks | {f"{kind} {s}" for kind in ("linear", "tanh") for s in (0.5, 1.0, 1.5)}
    for norms in shown.values():
        assert norms.shape == (51,)
        assert norms[0] == pytest.approx(1)
        assert (norms > 0).all()


def test_figure_of_the_bits_shows_the_curves_and_the_lines(run):
    shown = data(run, "rnn-bits")
    assert np.array_equal(shown["n_grams"], run.results["n-gram bits"])
    for kind in rnn.KINDS:
        curves = shown[f"{kind} bits"]
        assert curves.shape == (2, len(shown[f"{kind} characters"]))
        assert (curves[:, -1] < curves[:, 0]).all()
        assert np.allclose(curves[:, -1], run.results["networks"]["scores"][kind], rtol=1e-6)
    assert (shown["source"][:, -1] > shown["entropies"][2]).all(), "nothing is better than the source itself"


def test_figure_of_the_context_shows_all_models(run):
    shown = data(run, "rnn-context")
    assert len(shown["counted"]) == rnn.ORDER + 1
    assert len(shown["RNN"]) == len(shown["LSTM"]) == len(shown["lengths"])
    assert shown["counted"][0] > shown["counted"][3]
