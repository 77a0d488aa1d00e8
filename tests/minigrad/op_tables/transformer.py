"""Transformers and their layers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from op_harness import Case, Layer, Table, given, x

import minigrad
from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

from .attention import LARGE, asserting, layer_slowly

table = Table("transformer")
layer, wrong = table.layer, table.wrong

INF = float("inf")
PADDING = given([[False, True, False], [False, False, True]])
CAUSAL = given([[0.0, -INF, -INF], [0.0, 0.0, -INF], [0.0, 0.0, 0.0]]).fixed
OPEN = given([[0.0, 0.0, 0.0]] * 3).fixed  # not read where is_causal promises that it is causal
FUTURE = given([[False, True, True], [False, False, True], [False, False, False]])
OPTIONS: tuple[dict[str, Any], ...] = (
    {}, {"norm_first": True}, {"activation": "gelu"}, {"layer_norm_eps": 0.1}, {"batch_first": True}, {"bias": False},
)  # fmt: skip
BUILD = {"dropout": 0.0}


# --- layers -----------------------------------------------------------------------------------------------------------

for options in OPTIONS:
    layer("TransformerEncoderLayer", x(3, 2, 4), build=(4, 2, 3), call=layer_slowly, **BUILD, **options, **LARGE)
    layer(
        "TransformerDecoderLayer",
        x(3, 2, 4),
        x(3, 2, 4),
        build=(4, 2, 3),
        call=layer_slowly,
        **BUILD,
        **options,
        **LARGE,
    )
for name, memory in (("TransformerEncoderLayer", ()), ("TransformerDecoderLayer", (x(3, 4),))):
    layer(name, x(2, 4), *memory, build=(4, 1, 2, 0.0), call=layer_slowly, **LARGE)
    layer(name, x(2, 4), *memory, build=(4, 1, 2, 0.0, "relu", 1e-3, True, True), call=layer_slowly, **LARGE)
    layer(name, x(2, 4), *memory, build=(4, 1, 2), training=False, call=layer_slowly, note="with dropout", **LARGE)
layer("TransformerEncoderLayer", x(1, 1, 2), build=(2, 1, 1), call=layer_slowly, **BUILD, bias=False, **LARGE)
layer(
    "TransformerDecoderLayer",
    x(1, 1, 2),
    x(2, 1, 2),
    build=(2, 1, 1),
    call=layer_slowly,
    **BUILD,
    bias=False,
    loose=20.0,  # two features that are normalised become -1 and 1: in float32, little but rounding is left
)


def encode(module: Any, src: Any, padding: Any, mask: Any) -> Any:
    return layer_slowly(module, src, mask, padding)


def decode(module: Any, tgt: Any, memory: Any, padding: Any, mask: Any) -> Any:
    options = {"memory_mask": mask, "tgt_key_padding_mask": padding, "memory_key_padding_mask": padding}
    return layer_slowly(module, tgt, memory, mask, **options)


layer("TransformerEncoderLayer", x(3, 2, 4), PADDING, FUTURE, build=(4, 2, 3), call=encode, **BUILD, **LARGE)
layer("TransformerDecoderLayer", x(3, 2, 4), x(3, 2, 4), PADDING, FUTURE, build=(4, 2, 3), call=decode, **BUILD,
      **LARGE)  # fmt: skip


def causally(module: Any, *inputs: Any) -> Any:
    *sequences, mask = inputs
    options = {"is_causal": True} if len(sequences) == 1 else {"tgt_is_causal": True}
    return layer_slowly(module, *sequences, mask, **options)


layer("TransformerEncoderLayer", x(3, 1, 4), OPEN, build=(4, 2, 3), call=causally, **BUILD, **LARGE)
layer("TransformerDecoderLayer", x(3, 1, 4), x(2, 1, 4), OPEN, build=(4, 2, 3), call=causally, **BUILD, **LARGE)

# --- stacks of them ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stack(Layer):
    """Copies of a layer, which is built first: an encoder, a decoder or, from sizes alone, both.

    PyTorch warns that it will not use a fast path; this is about its own speed.
    """

    count: int | None = None
    norm: bool = False

    def module(self, library: ModuleType) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.count is None:
                return super().module(library)
            layer = getattr(library.nn, self.name + "Layer")(*self.build, **self.options)
            norm = library.nn.LayerNorm(self.build[0]) if self.norm else None
            return getattr(library.nn, self.name)(layer, self.count, norm).train(self.training)


def add(made: Stack, inputs: tuple[Any, ...], note: str) -> None:
    state = {key: x(*value.shape) for key, value in made.module(minigrad).named_parameters()}
    # PyTorch prints equal members of a list as one; the printed form is compared where there are no equal ones.
    call = made if made.count in (None, 1) else made.__call__
    table.cases.append(Case(made.name, (state, *inputs), {}, call, note, **LARGE))


def stack(name: str, *inputs: Any, count: int = 2, norm: bool = True, call: Any = layer_slowly, **options: Any) -> None:
    made = Stack(name, (4, 2, 3), {"dropout": 0.0, **options}, call=call, count=count, norm=norm)
    add(made, inputs, f"of {count}{' and a norm' if norm else ''} {options or ''} {call.__name__}")


def transformer(*inputs: Any, build: tuple[Any, ...] = (4, 2), call: Any = layer_slowly, **options: Any) -> None:
    made = Stack("Transformer", build, options, call=call)
    add(made, inputs, f"with {build} {options} {call.__name__}")


for name, memory in (("TransformerEncoder", ()), ("TransformerDecoder", (x(2, 2, 4),))):
    stack(name, x(3, 2, 4), *memory)
    stack(name, x(3, 2, 4), *memory, norm=False)
    stack(name, x(3, 2, 4), *memory, count=1, norm_first=True)
    stack(name, x(3, 2, 4), *memory, CAUSAL)
stack("TransformerEncoder", x(3, 2, 4), PADDING, FUTURE, call=encode)
stack("TransformerDecoder", x(3, 2, 4), x(3, 2, 4), PADDING, FUTURE, call=decode)
stack("TransformerEncoder", x(3, 2, 4), OPEN, call=causally)
stack("TransformerDecoder", x(3, 2, 4), x(2, 2, 4), OPEN, call=causally)

small = {"num_encoder_layers": 1, "num_decoder_layers": 1, "dim_feedforward": 3, "dropout": 0.0}
for options in OPTIONS:
    transformer(x(2, 2, 4), x(2, 2, 4), **small, **options)
transformer(x(2, 2), x(3, 2), build=(2, 1, 1, 1, 2, 0.0))


def translate(module: Any, src: Any, tgt: Any, padding: Any, mask: Any) -> Any:
    options = {"src_key_padding_mask": padding, "memory_key_padding_mask": padding}
    return layer_slowly(module, src, tgt, mask, mask, **options)


transformer(x(3, 2, 4), x(3, 2, 4), PADDING, FUTURE, call=translate, **small)

# --- wrong calls ------------------------------------------------------------------------------------------------------


def tiny(m: Any) -> Any:
    return m.nn.Transformer(4, 2, 1, 1, 3)


for name in ("TransformerEncoderLayer", "TransformerDecoderLayer"):
    wrong(
        ArgumentError, lambda m, n=name: getattr(m.nn, n)(4, 2, activation="elu"), name + ":", "activation", "'elu'",
        "'relu', 'gelu'",
    )  # fmt: skip
wrong(ArgumentTypeError, lambda m: m.nn.TransformerEncoderLayer(4, 2)([1.0]), "TransformerEncoderLayer:", "src", "list")
wrong(
    ArgumentTypeError, lambda m: m.nn.TransformerDecoderLayer(4, 2)(m.ones(2, 1, 4), 1.0), "TransformerDecoderLayer:",
    "memory", "float",
)  # fmt: skip
wrong(
    ShapeError, lambda m: asserting(m.nn.TransformerEncoderLayer(4, 2), m.ones(2, 1, 3)), "multi_head_attention",
    "embed_dim = 4", "(2, 1, 3)",
)  # fmt: skip
wrong(ArgumentTypeError, lambda m: m.nn.TransformerEncoder(3, 2), "TransformerEncoder:", "Module", "int")
wrong(
    ArgumentError, lambda m: m.nn.TransformerEncoder(m.nn.TransformerEncoderLayer(4, 2), 0)(m.ones(1, 1, 4)),
    "TransformerEncoder:", "num_layers", "0",
)  # fmt: skip
wrong(
    ArgumentTypeError, lambda m: m.nn.TransformerDecoder(m.nn.TransformerDecoderLayer, 2)(m.ones(1, 4), m.ones(1, 4)),
    "TransformerDecoder:", "Module", "type",
)  # fmt: skip
START = "Transformer:"
wrong(ShapeError, lambda m: tiny(m)(m.ones(2, 1, 4), m.ones(2, 3, 4)), START, "same batch", "(2, 3, 4)")
wrong(ShapeError, lambda m: tiny(m)(m.ones(2, 1, 3), m.ones(2, 1, 4)), START, "src", "d_model = 4", "(2, 1, 3)")
wrong(ShapeError, lambda m: tiny(m)(m.ones(2, 1, 4), m.ones(2, 1, 5)), START, "tgt", "d_model = 4", "(2, 1, 5)")
wrong(ArgumentTypeError, lambda m: tiny(m)([1.0], m.ones(2, 1, 4)), START, "src", "list")
wrong(
    ArgumentError, lambda m: m.nn.Transformer.generate_square_subsequent_mask(-1), "generate_square_subsequent_mask:",
    "sz", "-1",
)  # fmt: skip
wrong(DtypeError, lambda m: tiny(m)(m.ones(2, 1, 4).long(), m.ones(2, 1, 4)), "MultiheadAttention:", "int64")
