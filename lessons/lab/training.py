"""The loop that every training is: draw a batch, compute the loss, go back, step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from lessons.data.batches import minibatches

if TYPE_CHECKING:
    from minigrad import Tensor, nn, optim


def fit(
    loss_of: Callable[[np.ndarray], Tensor],
    optimizer: optim.Optimizer,
    n: int,
    *,
    rng: np.random.Generator,
    batch_size: int,
    epochs: Iterable[Any],
    after_step: Callable[[], None] | None = None,
) -> np.ndarray:
    """Train on n samples and return the loss of each step, shape (steps,).

    Args:
        loss_of: from the indices of a batch to the loss, a Tensor with one element.
        optimizer: holds the parameters.
        n: how many samples there are.
        rng: shuffles the samples anew in each epoch.
        batch_size: samples in a batch; a shorter rest is left out, so that every step has the same noise.
        epochs: one pass over the data for each item: `range(5)`, or `run.progress(range(5), "training")`.
        after_step: called after each step, for schedules and the like.

    Raises:
        FloatingPointError: the loss is not finite; the message says in which step.
    """
    losses: list[float] = []
    for _ in epochs:
        for rows in minibatches(rng, n, min(batch_size, n), drop_last=True):
            optimizer.zero_grad()
            loss = loss_of(rows)
            losses.append(loss.item())
            if not np.isfinite(losses[-1]):
                raise FloatingPointError(f"fit: the loss is {losses[-1]} in step {len(losses)}")
            loss.backward()
            optimizer.step()
            if after_step is not None:
                after_step()
    return np.array(losses)


def outputs(model: nn.Module, inputs: np.ndarray, batch_size: int = 500) -> np.ndarray:
    """Return what a module makes of many inputs, batch by batch, with nothing recorded and in eval mode.

    The mode that the module was in comes back afterwards.
    """
    import minigrad as mg

    training = model.training
    model.eval()
    try:
        with mg.no_grad():
            parts = [model(mg.tensor(inputs[k : k + batch_size])).numpy() for k in range(0, len(inputs), batch_size)]
    finally:
        model.train(training)
    return np.concatenate(parts)


def accuracy(model: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of images whose largest output is at their label, in eval mode."""
    return float((outputs(model, images).argmax(axis=1) == labels).mean())
