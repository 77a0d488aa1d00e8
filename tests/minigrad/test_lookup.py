"""What the tables of cases cannot say about embeddings: their start, their padding row, and given tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as m
from minigrad import nn
from minigrad.nn import functional as F

each_table = pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])


@each_table
def test_weights_start_standard_normal_from_the_default_generator(kind: Any) -> None:
    m.manual_seed(0)
    weight = kind(200, 50).weight
    m.manual_seed(0)
    assert (weight == m.randn(200, 50)).all()
    assert kind(3, 2, dtype=m.float64).weight.dtype == m.float64
    given = kind(3, 2, generator=m.Generator(7)).weight
    assert (given == m.randn(3, 2, generator=m.Generator(7))).all()


@each_table
@pytest.mark.parametrize("padding", [1, -2])
def test_the_padding_row_starts_at_zero_and_stays(kind: Any, padding: int) -> None:
    module = kind(3, 2, padding_idx=padding)
    assert module.padding_idx == 1
    assert ((module.weight != 0).any(1).numpy() == [True, False, True]).all()
    module(m.tensor([[0, 1, 2]])).sum().backward()
    assert ((module.weight.grad != 0).any(1).numpy() == [True, False, True]).all()
    m.optim.SGD(module.parameters(), lr=0.1).step()
    assert not module.weight[1].any()


@each_table
def test_a_given_table_is_shared_and_frozen(kind: Any) -> None:
    table = m.tensor([[1.0, 2.0], [3.0, 4.0]])
    module = kind.from_pretrained(table)
    assert not module.weight.requires_grad
    table.mul_(2)
    assert module.weight.tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert kind.from_pretrained(table, freeze=False, padding_idx=0).weight.requires_grad
    assert kind.from_pretrained(table, padding_idx=0).weight.tolist() == table.tolist()  # the row is left as it is


def test_wrong_tables_are_refused() -> None:
    with pytest.raises(m.errors.ShapeError, match=r"Embedding\.from_pretrained: .*\(3,\)"):
        nn.Embedding.from_pretrained(m.ones(3))
    with pytest.raises(m.errors.ArgumentTypeError, match=r"EmbeddingBag\.from_pretrained: .*list"):
        nn.EmbeddingBag.from_pretrained([[1.0]])
    with pytest.raises(m.errors.ShapeError, match=r"Embedding: .*\(3, 2\), got \(2, 2\)"):
        nn.Embedding(3, 2, _weight=m.ones(2, 2))


@pytest.mark.parametrize("padding", [3, -4])
def test_a_padding_row_that_does_not_exist_is_refused(padding: int) -> None:
    """PyTorch raises AssertionError, which the tables do not count as a refusal."""
    says = rf"padding_idx .* 3 rows, -3 to 2, got {padding}"
    with pytest.raises(m.errors.ArgumentError, match="Embedding: " + says):
        nn.Embedding(3, 2, padding_idx=padding)
    with pytest.raises(m.errors.ArgumentError, match="embedding: " + says):
        F.embedding(m.tensor([0]), m.ones(3, 2), padding)


def test_the_caller_may_change_the_indices_before_backward() -> None:
    weight = m.ones(3, 2).requires_grad_()
    indices = m.tensor([0, 0, 2])
    out = F.embedding(indices, weight)
    indices.fill_(1)
    out.sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [[2.0, 2.0], [0.0, 0.0], [1.0, 1.0]]


def test_gradients_of_many_repeated_rows_add_up() -> None:
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 7, (30, 5))
    weight = m.zeros(9, 3, dtype=m.float64).requires_grad_()
    upstream = rng.standard_normal((30, 5, 3))
    (g,) = m.grad(F.embedding(m.tensor(indices), weight), weight, m.tensor(upstream))
    want = np.zeros((9, 3))
    np.add.at(want, indices, upstream)
    np.testing.assert_allclose(g.numpy(), want, rtol=1e-12)
