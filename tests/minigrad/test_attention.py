"""Attention and transformers: what the op tables cannot say. Values and gradients are compared in op_tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as m
from minigrad import nn
from minigrad.nn import functional as F


def random(*shape: int, seed: int = 0) -> m.Tensor:
    return m.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


# --- masks ------------------------------------------------------------------------------------------------------------


def test_masks_mean_opposite_things() -> None:
    """True is seen by scaled_dot_product_attention, and hidden by multi-head attention, as in PyTorch."""
    q, k, v = random(1, 2), random(2, 2, seed=1), random(2, 2, seed=2)
    seen = F.scaled_dot_product_attention(q, k, v, m.tensor([[True, False]]))
    np.testing.assert_allclose(seen.numpy(), v[:1].numpy())
    attention = nn.MultiheadAttention(2, 1)
    _, weights = attention(q, k, v, attn_mask=m.tensor([[True, False]]))
    np.testing.assert_array_equal(weights.detach().numpy(), [[0.0, 1.0]])


def test_a_causal_query_does_not_see_later_keys() -> None:
    x = random(4, 2)
    later = m.cat([x[:3], random(1, 2, seed=5)])
    for function in (lambda t: F.scaled_dot_product_attention(t, t, t, is_causal=True),):
        np.testing.assert_array_equal(function(x)[:3].numpy(), function(later)[:3].numpy())
        assert not np.array_equal(function(x)[3].numpy(), function(later)[3].numpy())


def test_the_gradient_stays_clean_where_a_query_sees_nothing() -> None:
    q, k, v = (random(2, 2, seed=s).requires_grad_() for s in range(3))
    out = F.scaled_dot_product_attention(q, k, v, m.tensor([[False, False], [True, True]]))
    gradients = m.grad(out.sum(), [q, k, v])
    assert all(np.isfinite(g.numpy()).all() for g in gradients if g is not None)
    assert not gradients[0].numpy()[0].any()
    np.testing.assert_array_equal(out.detach().numpy()[0], 0)


# --- dropout ----------------------------------------------------------------------------------------------------------


def test_dropout_scales_the_weights_that_are_kept() -> None:
    q, k = m.zeros(1, 4), m.zeros(1000, 4)
    v = m.eye(1000)
    weights = F.scaled_dot_product_attention(q, k, v, dropout_p=0.25, generator=m.Generator(0)).numpy() * 1000
    assert set(np.unique(np.round(weights, 3))) == {np.float32(0), np.float32(1.333)}
    assert np.mean(weights == 0) == pytest.approx(0.25, abs=0.05)


def test_dropout_follows_its_generator_and_ends_in_eval() -> None:
    x = random(3, 1, 4)

    def output(seed: int, train: bool) -> np.ndarray:
        attention = nn.MultiheadAttention(4, 2, dropout=0.5, generator=m.Generator(seed)).train(train)
        for p in attention.parameters():
            nn.init.constant_(p, 0.1)
        return attention(x, x, x)[1].detach().numpy()

    np.testing.assert_array_equal(output(1, True), output(1, True))
    assert not np.array_equal(output(1, True), output(2, True))
    np.testing.assert_array_equal(output(1, False), output(2, False))
    assert (output(1, False) > 0).all()


# --- starting values and copies ---------------------------------------------------------------------------------------


def test_projections_start_as_glorot_and_biases_at_zero() -> None:
    attention = nn.MultiheadAttention(32, 4, add_bias_kv=True, generator=m.Generator(0))
    bound = np.sqrt(6 / (32 + 96))
    weight = attention.in_proj_weight.detach().numpy()
    assert 0.98 * bound < np.abs(weight).max() <= bound
    assert not attention.in_proj_bias.detach().numpy().any()
    assert not attention.out_proj.bias.detach().numpy().any()
    assert attention.bias_k.detach().numpy().std() == pytest.approx(np.sqrt(2 / 64), rel=0.5)
    separate = nn.MultiheadAttention(32, 4, kdim=64, generator=m.Generator(0))
    bound = np.sqrt(6 / (32 + 64))
    assert 0.98 * bound < np.abs(separate.k_proj_weight.detach().numpy()).max() <= bound


def test_a_transformer_starts_all_matrices_as_glorot() -> None:
    model = nn.Transformer(16, 2, 1, 1, 48, generator=m.Generator(0))
    weight = model.decoder.layers[0].linear1.weight.detach().numpy()
    bound = np.sqrt(6 / (16 + 48))
    assert 0.98 * bound < np.abs(weight).max() <= bound


def test_layers_are_copies_that_do_not_share_parameters() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 3)
    encoder = nn.TransformerEncoder(layer, 3)
    weights = [encoder.layers[i].linear1.weight for i in range(3)]
    for weight in weights:
        np.testing.assert_array_equal(weight.detach().numpy(), layer.linear1.weight.detach().numpy())
    assert len({id(w) for w in (*weights, layer.linear1.weight)}) == 4
    with m.no_grad():
        weights[0].zero_()
    assert weights[1].detach().numpy().any()
    assert layer.linear1.weight.detach().numpy().any()


def test_copies_draw_from_one_generator() -> None:
    """Copies of the generator would drop the same elements in every layer."""
    generator = m.Generator(0)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 3, generator=generator), 2)
    for layer in encoder.layers:
        assert layer.dropout.generator is generator
        assert layer.self_attn.generator is generator


# --- transformers -----------------------------------------------------------------------------------------------------


def test_the_causal_mask_is_that_of_the_paper() -> None:
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    inf = float("inf")
    assert mask.tolist() == [[0.0, -inf, -inf], [0.0, 0.0, -inf], [0.0, 0.0, 0.0]]
    assert mask.dtype == m.float32
    assert nn.Transformer.generate_square_subsequent_mask(2, dtype=m.float64).dtype == m.float64
    assert nn.Transformer.generate_square_subsequent_mask(0).shape == (0, 0)


def test_activations_by_name_and_by_function() -> None:
    x = random(2, 1, 4)
    made = []
    for activation in ("gelu", F.gelu, nn.GELU(), "relu"):
        layer = nn.TransformerEncoderLayer(4, 2, 3, activation=activation).eval()
        for i, p in enumerate(layer.parameters()):
            nn.init.constant_(p, 0.1 + 0.01 * i)
        layer.linear1.weight.data, layer.linear2.weight.data = random(3, 4, seed=3), random(4, 3, seed=4)
        made.append(layer(x).detach().numpy())
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])
    assert not np.allclose(made[0], made[3])


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # PyTorch explains why it will not be faster
@pytest.mark.parametrize("options", [{}, {"norm_first": True, "activation": "gelu"}, {"bias": False}])
def test_weights_of_torch_give_the_outputs_of_torch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="the weights of PyTorch can only be had where it is installed")
    options = {"d_model": 8, "nhead": 2, "dim_feedforward": 16, "batch_first": True, **options}
    theirs = torch.nn.Transformer(num_encoder_layers=2, num_decoder_layers=2, **options).eval()
    ours = nn.Transformer(num_encoder_layers=2, num_decoder_layers=2, **options).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({key: m.tensor(value.numpy()) for key, value in theirs.state_dict().items()})
    src, tgt = random(2, 5, 8), random(2, 3, 8, seed=1)
    mask = ours.generate_square_subsequent_mask(3)
    want = theirs(torch.tensor(src.numpy()), torch.tensor(tgt.numpy()), tgt_mask=torch.tensor(mask.numpy()))
    np.testing.assert_allclose(ours(src, tgt, tgt_mask=mask).detach().numpy(), want.detach().numpy(), atol=1e-5)


@pytest.mark.torch
def test_the_fast_path_of_torch_returns_the_same() -> None:
    torch = pytest.importorskip("torch", reason="the fast path is PyTorch's")
    theirs = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    ours = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    ours.load_state_dict({key: m.tensor(value.numpy()) for key, value in theirs.state_dict().items()})
    x = random(2, 5, 8)
    with torch.no_grad():
        want = theirs(torch.tensor(x.numpy())).numpy()
    np.testing.assert_allclose(ours(x).detach().numpy(), want, atol=1e-5)


# --- misuse -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("static", ["static_k", "static_v"])
def test_static_keys_are_named_as_not_supported(static: str) -> None:
    x = m.ones(2, 1, 4)
    with pytest.raises(NotImplementedError, match=f"multi_head_attention_forward: {static}"):
        F.multi_head_attention_forward(
            x, x, x, 4, 2, m.ones(12, 4), None, None, None, False, 0.0, m.ones(4, 4), None, **{static: x}
        )


@pytest.mark.parametrize("wrong", [None, 3.0, "text", [[1.0]], np.ones((2, 1, 4), np.float32)])
def test_no_foreign_error_reaches_the_user(wrong: Any) -> None:
    x = m.ones(2, 1, 4)
    attention = nn.MultiheadAttention(4, 2)
    for operands in ((wrong, x, x), (x, wrong, x), (x, x, wrong)):
        with pytest.raises(m.MinigradError):
            attention(*operands)
        with pytest.raises(m.MinigradError, match=r"^scaled_dot_product_attention: "):
            F.scaled_dot_product_attention(*operands)
        with pytest.raises(m.MinigradError):
            nn.MultiheadAttention(4, 2, batch_first=True)(*operands)
    for build in (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer, nn.TransformerEncoder):
        with pytest.raises(m.MinigradError):
            build(4, wrong)(x)
