"""Whole training steps through the engine: forward, backward and SGD, beside PyTorch, MyGrad and autograd.

The convolutional network is of LeNet's size: two 5 x 5 convolutions from 1 to 16 to 32 channels, each with ReLU and
2 x 2 max pooling, and a linear layer. A step returns its loss. All libraries start from the same weights, and must
agree about it. autograd has no convolutions. `minigrad bench train` prints the table.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from lessons.workbench.bench_engine import MLP, Work, case, like_torch
from minigrad.dtypes import Array

BATCH, SIZE, CHANNELS, CLASSES, TAPS = 64, 28, (1, 16, 32), 10, 5
RATE = 0.01


def _draw() -> tuple[list[Array], Array, Array]:
    """The weights in the order of the layers, images, and labels."""
    rng = np.random.default_rng(0)
    black, middle, deep = CHANNELS
    features = deep * (SIZE // 4) ** 2
    shapes = ((middle, black, TAPS, TAPS), (deep, middle, TAPS, TAPS), (CLASSES, features))
    weights = []
    for shape in shapes:
        spread = 1 / np.sqrt(np.prod(shape[1:]))
        weights += [(spread * rng.standard_normal(shape)).astype(np.float32), np.zeros(shape[0], np.float32)]
    images = rng.standard_normal((BATCH, black, SIZE, SIZE)).astype(np.float32)
    return weights, images, rng.integers(0, CLASSES, BATCH)


def _convnet(library: Any) -> Work:
    nn = library.nn
    weights, images, labels = _draw()
    black, middle, deep = CHANNELS
    model = nn.Sequential(
        nn.Conv2d(black, middle, TAPS, padding=TAPS // 2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(middle, deep, TAPS, padding=TAPS // 2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(deep * (SIZE // 4) ** 2, CLASSES),
    )
    model.load_state_dict(dict(zip(model.state_dict(), map(library.tensor, weights), strict=True)))
    x, target = library.tensor(images), library.tensor(labels)
    optimizer = library.optim.SGD(model.parameters(), lr=RATE)

    def run() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return run


def _convnet_in_mygrad() -> Work:
    mygrad, nnet = importlib.import_module("mygrad"), importlib.import_module("mygrad.nnet")
    layers = importlib.import_module("mygrad.nnet.layers")
    arrays, images, labels = _draw()
    weights = [mygrad.tensor(a) for a in arrays]
    w1, b1, w2, b2, w3, b3 = weights

    def layer(x: Any, w: Any, b: Any) -> Any:
        y = layers.conv_nd(x, w, stride=1, padding=TAPS // 2) + b.reshape(1, -1, 1, 1)
        return layers.max_pool(nnet.relu(y), (2, 2), 2)

    def run() -> float:
        features = layer(layer(images, w1, b1), w2, b2).reshape(BATCH, -1)
        loss = nnet.softmax_crossentropy(mygrad.matmul(features, w3.T) + b3, labels)
        loss.backward()
        for w in weights:
            w.data -= RATE * w.grad
        return float(loss)

    return run


CASES = (
    case(
        "train",
        "convnet 1-16-32, batch 64 of 28 x 28",
        {**like_torch(_convnet), "mygrad": _convnet_in_mygrad},
        goal=0.5,
    ),
    case("train", "MLP 784-256-10, batch 64", MLP, goal=0.6),
)
