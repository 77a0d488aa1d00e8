"""Normalisation and dropout."""

from __future__ import annotations

from typing import Any

from op_harness import Table, given, positive, x

table = Table("normalization")
case = table.case

NAN, INF = float("nan"), float("inf")


def batch_norm(m: Any, a: Any, mean: Any, var: Any, *rest: Any, **options: Any) -> Any:
    """The output, and the running statistics as the call has left them."""
    out = m.nn.functional.batch_norm(a, mean, var, *rest, **options)
    return [out, *(s for s in (mean, var) if s is not None)]


for shape in ((4, 3), (3, 2, 2), (2, 2, 2, 2), (3, 1)):
    c = (shape[1],)
    running = (x(*c).fixed, positive(*c).fixed)
    case("batch_norm", x(*shape), None, None, x(*c), x(*c), training=True, call=batch_norm)
    case("batch_norm", x(*shape), *running, x(*c), x(*c), training=True, call=batch_norm)
    case("batch_norm", x(*shape), *running, x(*c), x(*c), training=False, call=batch_norm)
case("batch_norm", x(4, 3), None, None, training=True, call=batch_norm)
case("batch_norm", x(4, 3), x(3).fixed, positive(3).fixed, call=batch_norm)
case("batch_norm", x(4, 3), x(3).fixed, positive(3).fixed, x(3), call=batch_norm)
case("batch_norm", x(4, 3), None, None, x(3), None, training=True, call=batch_norm)
case("batch_norm", x(4, 3), None, None, None, x(3), training=True, call=batch_norm, twice=False)
case("batch_norm", x(4, 3), None, None, x(3), x(3), training=True, eps=0.1, call=batch_norm)
case("batch_norm", x(4, 3), None, None, x(3), x(3), True, 0.3, 0.5, call=batch_norm)
case("batch_norm", x(4, 3), x(3).fixed, positive(3).fixed, training=True, momentum=0.4, call=batch_norm)
case("batch_norm", x(4, 3), x(3).fixed, positive(3).fixed, training=True, momentum=0.0, call=batch_norm)
case("batch_norm", x(4, 3), x(3).fixed, positive(3).fixed, training=True, momentum=1.0, call=batch_norm)
case("batch_norm", x(4, 3), x(3).fixed, positive(3).fixed, x(3), x(3), eps=0.1, call=batch_norm)
case("batch_norm", x(4, 3), None, None, x(3).fixed, x(3).fixed, training=True, call=batch_norm)
case("batch_norm", x(4, 3).fixed, None, None, x(3), x(3), training=True, call=batch_norm)
case("batch_norm", x(3, 4).transposed, None, None, x(4), x(4).strided, training=True, call=batch_norm)
case("batch_norm", x(0, 3), x(3).fixed, positive(3).fixed, x(3), x(3), call=batch_norm)
case(
    "batch_norm", given([[1.0, 1.0], [NAN, 2.0], [2.0, 3.0]]), None, None, training=True, call=batch_norm, smooth=False
)
case(
    "batch_norm", given([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]]), None, None, training=True, eps=0.01, call=batch_norm,
    note="a constant channel",
)  # fmt: skip
case("dropout", x(2, 3), training=False)
case("dropout", x(2, 3), p=0.0)
case("dropout", x(2, 3), p=1.0)
case("dropout", x(2, 3).fixed, p=0.5, call=lambda m, a, p: m.nn.functional.dropout(a, p) * 0)
