"""The CTC loss, after the log_softmax through which its gradient is PyTorch's; PyTorch has no second gradient."""

from __future__ import annotations

from op_harness import Table, given, x

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

table = Table(
    "ctc",
    once={"ctc_loss": "PyTorch has no second gradient"},
    other_names={"ctc_loss": "every case goes through log_softmax"},
)
case, wrong, layer = table.case, table.wrong, table.layer


def ctc(logits, *args, note="", smooth=True, **options):
    def call(m, logits, *args, **options):
        return m.nn.functional.ctc_loss(logits.log_softmax(-1), *args, **options)

    case("ctc_loss", logits, *args, call=call, note=note, smooth=smooth, twice=False, **options)


LABELS, REPEATED = given([[1, 2], [2, 1]], "int64"), given([[1, 1], [2, 2]], "int64")
STEPS, COUNTS = given([4, 3], "int64"), given([2, 1], "int64")
for reduction in ("mean", "sum", "none"):
    ctc(x(4, 2, 3), LABELS, STEPS, COUNTS, reduction=reduction)
    ctc(x(4, 2, 3), REPEATED, STEPS, given([2, 2], "int64"), 0, reduction)
    ctc(x(4, 3), given([1, 2], "int64"), given(4, "int64"), given(2, "int64"), reduction=reduction)
ctc(x(4, 2, 3), LABELS, (4, 4), (2, 2), note="and lengths as tuples")
ctc(x(4, 2, 3), given([1, 2, 1], "int64"), [4, 3], [2, 1], note="and targets in a row")
ctc(x(4, 2, 3), given([1, 2, 1], "int32"), given([3, 4], "int32"), given([1, 2], "int32"), note="and targets in a row")
ctc(x(5, 1, 4), given([[3, 0, 3]], "int64"), (5,), (3,), blank=1)
ctc(x(5, 1, 4), given([[3, 2, 3, 0]], "int64"), (5,), (3,), blank=1, note="with padding")
ctc(x(3, 2, 3), LABELS, (3, 2), (0, 1), reduction="none", note="and no labels")
ctc(x(3, 2, 3), given([[], []], "int64"), (3, 2), (0, 0), reduction="none", note="and no labels at all")
ctc(x(3, 2, 3), LABELS, (0, 3), (0, 1), reduction="none", note="and no steps")
ctc(x(3, 2, 3), given([[0, 2], [1, 1]], "int64"), (3, 3), (2, 1), reduction="none", note="and a blank as label")
ctc(x(1, 1, 3), given([[1]], "int64"), (1,), (1,), note="in one step")
ctc(x(3, 2, 4).transposed, LABELS.transposed, (3, 3), (2, 2))
ctc(x(2, 2, 3), REPEATED, (2, 2), (2, 1), reduction="none", note="too short", smooth=False)
ctc(x(4, 2, 3), REPEATED, (2, 4), (2, 1), zero_infinity=True, note="too short", smooth=False)
ctc(x(4, 2, 3), LABELS, (0, 3), (1, 1), zero_infinity=True, reduction="none", note="no steps", smooth=False)
ctc(x(4, 2, 3), LABELS, (4, 3), (2, 2), zero_infinity=True, note="that fits")
layer("CTCLoss", x(4, 2, 3), LABELS, STEPS, COUNTS, twice=False, call=lambda module, a, *rest: module(
    a.log_softmax(-1), *rest))  # fmt: skip
layer("CTCLoss", x(4, 2, 3), REPEATED, (2, 4), (2, 1), build=(0, "sum", True), twice=False, smooth=False,
      call=lambda module, a, *rest: module(a.log_softmax(-1), *rest))  # fmt: skip

# --- wrong calls ------------------------------------------------------------------------------------------------------


def refused(error, call, *says, torch_allows=False):
    wrong(error, lambda m: call(m, m.nn.functional.ctc_loss), "ctc_loss:", *says, torch_allows=torch_allows)


def logs(m, *shape):
    return m.zeros(*(shape or (4, 2, 3)))


def labels(m):
    return m.tensor([[1, 2], [1, 1]])


refused(ArgumentError, lambda m, f: f(logs(m), labels(m), (5, 4), (2, 1)), "input_lengths", "at most 4", "5")
refused(ArgumentError, lambda m, f: f(logs(m), labels(m), (-1, 4), (0, 1)), "input_lengths", ">= 0", "-1")
refused(ArgumentError, lambda m, f: f(logs(m), labels(m), (4, 4), (2, 1), blank=3), "blank", "0 to 2", "3")
# PyTorch reads memory that is not the tensor's.
refused(ArgumentError, lambda m, f: f(logs(m), labels(m) + 1, (4, 4), (2, 1)), "0 to 2", "2 to 3", torch_allows=True)
refused(ArgumentError, lambda m, f: f(logs(m), labels(m), (4, 4), (2, 1), 0, "avg"), "'avg'")
refused(ShapeError, lambda m, f: f(logs(m), labels(m), (4, 4), (3, 1)), "S >= 3", "(2, 2)")
refused(ShapeError, lambda m, f: f(logs(m), labels(m)[:1], (4, 4), (2, 1)), "(1, 2)")
refused(ShapeError, lambda m, f: f(logs(m), m.tensor([1, 2]), (4, 4), (2, 1)), "all 3 labels", "(2,)")
refused(ShapeError, lambda m, f: f(logs(m), labels(m), (4, 4, 4), (2, 1)), "input_lengths", "2 examples", "3")
refused(ShapeError, lambda m, f: f(logs(m), labels(m), (4, 4), (2,)), "target_lengths", "2 examples", "1")
refused(ShapeError, lambda m, f: f(logs(m, 4, 0, 3), m.zeros(0, 2).long(), (), ()), "(4, 0, 3)")
refused(ShapeError, lambda m, f: f(logs(m, 4), labels(m), (4, 4), (2, 1)), "(T, N, C)", "(4,)")
refused(
    DtypeError, lambda m, f: f(logs(m), labels(m), m.tensor([4.0, 4.0]), m.tensor([2, 1])), "input_lengths", "float"
)
refused(DtypeError, lambda m, f: f(logs(m).long(), labels(m), (4, 4), (2, 1)), "log_probs", "int64")
refused(DtypeError, lambda m, f: f(logs(m), labels(m).float(), (4, 4), (2, 1)), "targets.long()", torch_allows=True)
refused(ArgumentTypeError, lambda m, f: f(logs(m), [[1, 2], [1, 1]], (4, 4), (2, 1)), "targets", "list")
refused(ArgumentTypeError, lambda m, f: f(logs(m), labels(m), None, (2, 1)), "input_lengths", "NoneType")
