"""Normalisation, as functions and as modules."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Draw, Table, given, positive, x
from op_strategies import SIZES, tensors, with_dim

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError

table = Table("normalization")
case, wrong, layer = table.case, table.wrong, table.layer

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

# --- over the last dimensions -----------------------------------------------------------------------------------------

for shape, sizes in (((2, 4), (4,)), ((2, 2, 3), (3,)), ((2, 2, 3), (2, 3)), ((3,), (3,)), ((2, 2, 3), [2, 2, 3])):
    case("layer_norm", x(*shape), sizes)
    case("layer_norm", x(*shape), sizes, x(*sizes), x(*sizes))
    case("rms_norm", x(*shape), sizes)
    case("rms_norm", x(*shape), sizes, x(*sizes))
case("layer_norm", x(2, 3), (3,), x(3))
case("layer_norm", x(2, 3), (3,), None, x(3), twice=False)  # PyTorch fails with a bias and no weight
case("layer_norm", x(2, 3), (3,), weight=x(3), bias=x(3), eps=0.1)
case("layer_norm", x(2, 3), (3,), x(3), x(3), 0.5)
case("layer_norm", x(2, 3).fixed, (3,), x(3), x(3))
case("layer_norm", x(2, 3), (3,), x(3).fixed, x(3).fixed)
case("rms_norm", x(2, 3), (3,), weight=x(3), eps=0.1)
case("rms_norm", x(2, 3), (3,), x(3), 0.5)
case("rms_norm", x(2, 3).fixed, (3,), x(3))
for norm, affine in (("layer_norm", 2), ("rms_norm", 1)):
    case(norm, x(3, 4).transposed, (4,), *[x(4).strided for _ in range(affine)])
    case(norm, x(2, 4, dtype="float16"), (4,), *[x(4, dtype="float16")] * affine)
    case(norm, x(0, 3), (3,), *[x(3)] * affine)
    case(norm, x(2, 0), (0,), *[x(0)] * affine)
    case(norm, x(2, 1), (1,), *[x(1)] * affine, eps=0.1, smooth=False)
    case(norm, given([[NAN, 1.0, 2.0], [INF, 1.0, 2.0], [1.0, 2.0, 4.0]]), (3,), smooth=False)
    case(norm, given([[2.0, 2.0, 2.0], [1.0, 2.0, 4.0]]), (3,), eps=0.01, note="a constant row")
case("layer_norm", given([[200.0, 300.0, -300.0, 250.0]], "float16"), (4,), note="with squares beyond float16")
case("rms_norm", given([[200.0, 300.0, -300.0, 250.0]], "float16"), (4,), note="with squares beyond float16")
# The default eps depends on the dtype.
for dtype in ("float16", "float32", "float64"):
    case("rms_norm", given([[0.0009765625, 0.00048828125, 0.0]], dtype), (3,), note="near eps", smooth=False)
    case("rms_norm", given([[0.0, 0.0]], dtype), (2,), note="of zeros", smooth=False, twice=dtype != "float16")


@st.composite
def normalized(draw: st.DrawFn, parameters: int) -> Any:
    """An input, how many of its last sizes are normalised over, and parameters of that shape."""
    value = draw(tensors(st.lists(SIZES, min_size=1, max_size=3).map(tuple)))
    sizes = value.shape[-draw(st.integers(1, len(value.shape))) :]
    return (value, sizes, *[Draw(sizes)] * draw(st.sampled_from([0, parameters]))), {"eps": 0.1}


table.drawn("layer_norm", normalized(2))
table.drawn("rms_norm", normalized(1))

# --- over channels ----------------------------------------------------------------------------------------------------

# Three values or more in each group: the gradient of two that are normalised almost vanishes, and is mostly rounding.
for shape, groups in (((2, 6), 2), ((2, 4, 3), 2), ((1, 4, 2, 2), 4), ((2, 3, 2), 1), ((2, 2, 1, 2, 2), 2)):
    case("group_norm", x(*shape), groups)
    case("group_norm", x(*shape), groups, x(shape[1]), x(shape[1]))
case("group_norm", x(2, 4, 2), 2, x(4))
case("group_norm", x(2, 4, 2), 2, None, x(4).fixed)  # PyTorch fails with a gradient of a bias without weight
case("group_norm", x(2, 4, 2), num_groups=2, weight=x(4), bias=x(4), eps=0.1)
case("group_norm", x(2, 4, 2), 2, x(4), x(4), 0.5)
case("group_norm", x(2, 4, 2).transposed, 2, x(4).strided, x(4))
case("group_norm", x(2, 4, 2).fixed, 2, x(4), x(4))
case("group_norm", x(2, 4, 2, dtype="float16"), 2, x(4, dtype="float16"), x(4, dtype="float16"))
case("group_norm", x(0, 4, 2), 2)
case("group_norm", x(2, 4, 0), 2)
case("group_norm", x(2, 3), 3, eps=0.1, note="one value in each group", smooth=False)
case("group_norm", given([[[NAN, 1.0], [2.0, 4.0], [INF, 1.0], [1.0, 3.0]]]), 4, smooth=False)
table.drawn("group_norm", st.tuples(
    st.tuples(tensors(st.lists(st.sampled_from([1, 2, 4]), min_size=2, max_size=4).map(tuple)), st.integers(1, 2)),
    st.just({"eps": 0.1}),
))  # fmt: skip


def instance_norm(m: Any, a: Any, mean: Any, var: Any, *rest: Any, **options: Any) -> Any:
    """The output, and the running statistics as the call has left copies of them."""
    mean, var = mean.clone(), var.clone()
    return [m.nn.functional.instance_norm(a, mean, var, *rest, **options), mean, var]


for shape in ((2, 3, 4), (2, 2, 2, 2), (1, 2, 2, 2, 1)):
    c = (shape[1],)
    case("instance_norm", x(*shape))
    case("instance_norm", x(*shape), weight=x(*c), bias=x(*c))
    # A numerical gradient would see the running statistics move with the input.
    case("instance_norm", x(*shape), x(*c).fixed, positive(*c).fixed, x(*c), x(*c), call=instance_norm, smooth=False)
    case("instance_norm", x(*shape), x(*c).fixed, positive(*c).fixed, x(*c), x(*c), use_input_stats=False)
case("instance_norm", x(2, 3, 4), None, None, x(3))
case("instance_norm", x(2, 3, 4), None, None, None, x(3), twice=False)
case("instance_norm", x(2, 3, 4), None, None, x(3), x(3), True, 0.1, 0.5)
case("instance_norm", x(2, 3, 4), x(3).fixed, positive(3).fixed, use_input_stats=False, eps=0.5)
case("instance_norm", x(2, 3, 1), x(3).fixed, positive(3).fixed, use_input_stats=False)
for momentum in (0.0, 0.4, 1.0):
    case(
        "instance_norm", x(2, 3, 4), x(3).fixed, positive(3).fixed, momentum=momentum, call=instance_norm, smooth=False
    )
case("instance_norm", x(2, 3, 4, dtype="float16"))
case("instance_norm", x(3, 2, 4).transposed, weight=x(2).strided, bias=x(2))
case("instance_norm", x(0, 3, 2))
case("instance_norm", x(2, 3, 0))
case("instance_norm", x(2, 0, 2))
case("instance_norm", given([[[NAN, 1.0], [2.0, 4.0], [INF, 1.0], [1.0, 3.0]]]), smooth=False)
case("instance_norm", given([[[2.0, 2.0], [2.0, 4.0]]]), eps=0.01, note="a constant channel")

for size in (1, 2, 3, 5):
    case("local_response_norm", x(2, 4, 2), size, alpha=0.5)
case("local_response_norm", x(2, 4, 2), 2)
case("local_response_norm", x(1, 3, 2, 2), size=2, alpha=0.5, beta=0.5, k=2.0)
case("local_response_norm", x(1, 3, 2, 1, 2), 3, 1.0, 2, 0.5)
case("local_response_norm", x(4, 3, 2).transposed, 2, 1.0)
case("local_response_norm", x(2, 3, 2, dtype="float16"), 2, 1.0)
case("local_response_norm", x(0, 3, 2), 2)
case("local_response_norm", x(2, 0, 2), 2)
case("local_response_norm", given([[[NAN], [1.0], [2.0], [INF], [3.0]]]), 2, 1.0, smooth=False)

# --- of vectors -------------------------------------------------------------------------------------------------------

case("normalize", x(2, 3))
case("normalize", x(2, 3), p=1.0)
case("normalize", x(2, 3), p=3, dim=0)
case("normalize", x(2, 3), p=0.5)
case("normalize", x(2, 3), 2.0, -1)
case("normalize", x(2, 3), float("inf"), 1)
case("normalize", x(2, 3), -INF)
case("normalize", x(2, 3), p=0, eps=5.0)
case("normalize", x(2, 3), 2.0, 1, 10.0)
case("normalize", x(2, 3, 2), dim=(0, 2))
case("normalize", x(2, 3), dim=None)
case("normalize", x(3), dim=0)
case("normalize", x(), dim=0, smooth=False)
case("normalize", x(2, 0))
case("normalize", x(0, 2))
case("normalize", x(3, 2).transposed)
case("normalize", x(2, 3, dtype="float16"))
# PyTorch has nan for the second gradient of the norm at 0.
case("normalize", given([[0.0, 0.0], [3.0, 4.0]]), note="of a zero vector", smooth=False, eps=0.5, twice=False)
case("normalize", given([[3.0, 4.0], [NAN, 1.0], [INF, 1.0]]), smooth=False)
table.drawn("normalize", with_dim(p=st.sampled_from([1, 2, 3])))

# --- modules ----------------------------------------------------------------------------------------------------------


def with_running_statistics(module: Any, input: Any) -> Any:
    """The output, and what the call makes of copies of the running statistics."""
    for name, buffer in list(module.named_buffers()):
        setattr(module, name, buffer.clone())
    return [module(input), *[buffer for _, buffer in module.named_buffers()]]


CHANNEL_NORMS = [
    ("BatchNorm1d", (4, 3)), ("BatchNorm1d", (3, 2, 2)), ("BatchNorm2d", (2, 2, 2, 2)),
    ("BatchNorm3d", (2, 2, 1, 2, 2)), ("InstanceNorm1d", (2, 3, 4)), ("InstanceNorm2d", (2, 2, 2, 2)),
    ("InstanceNorm3d", (2, 2, 2, 2, 2)),
]  # fmt: skip
for module, shape in CHANNEL_NORMS:
    running = {"call": with_running_statistics, "smooth": False, "track_running_stats": True}
    layer(module, x(*shape), build=(shape[1],), **running)
    layer(module, x(*shape), build=(shape[1],), affine=True, momentum=0.3, eps=0.1, **running)
    layer(module, x(*shape), build=(shape[1],), affine=True, training=False, track_running_stats=True)
    layer(module, x(*shape), build=(shape[1],), affine=True, track_running_stats=False)
    layer(module, x(*shape), build=(shape[1],), affine=True, bias=False, track_running_stats=False)
    layer(module, x(*shape), build=(shape[1],), affine=False, track_running_stats=False)
layer("BatchNorm1d", x(4, 3), build=(3,), momentum=None, call=with_running_statistics, smooth=False)
layer("InstanceNorm1d", x(3, 4), build=(3,))
layer("InstanceNorm1d", x(2, 3, 4), build=(3,), training=False)
layer("InstanceNorm2d", x(2, 2, 2), build=(2,))
layer("InstanceNorm3d", x(2, 2, 2, 2), build=(2,))
layer("LayerNorm", x(2, 4), build=(4,))
layer("LayerNorm", x(2, 2, 3), build=((2, 3),), eps=0.1)
layer("LayerNorm", x(2, 3), build=([3],), bias=False)
layer("LayerNorm", x(2, 3), build=(3,), elementwise_affine=False)
layer("RMSNorm", x(2, 4), build=(4,))
layer("RMSNorm", x(2, 2, 3), build=((2, 3),), eps=0.1)
layer("RMSNorm", x(2, 3), build=(3,), elementwise_affine=False)
layer("GroupNorm", x(2, 4, 2), build=(2, 4))
layer("GroupNorm", x(2, 6), build=(2, 6), eps=0.1)
layer("GroupNorm", x(2, 4, 2), num_groups=2, num_channels=4, bias=False)
layer("GroupNorm", x(2, 4, 2), build=(2, 4), affine=False)
layer("LocalResponseNorm", x(2, 3, 2), build=(2,))
layer("LocalResponseNorm", x(2, 3, 2), size=3, alpha=0.5, beta=0.5, k=2.0)

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(
    ShapeError, lambda m: m.nn.functional.batch_norm(m.ones(1, 3), None, None, training=True), "batch_norm:", "(1, 3)",
    "more than 1 value", "eval()",
)  # fmt: skip
wrong(ShapeError, lambda m: m.nn.functional.batch_norm(m.ones(3), None, None), "batch_norm:", "(3,)", "(N, C)")
wrong(
    ArgumentError, lambda m: m.nn.functional.batch_norm(m.ones(2, 3), None, None), "batch_norm:", "running_mean",
    "training=False",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.batch_norm(m.ones(2, 3), m.ones(2), m.ones(2)), "batch_norm: running_mean",
    "(3,)", "(2,)",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.batch_norm(m.ones(2, 3), None, None, m.ones(2), training=True),
    "batch_norm: weight", "(3,)", "(2,)",
)  # fmt: skip
wrong(
    DtypeError, lambda m: m.nn.functional.batch_norm(m.ones(2, 3).long(), None, None, training=True), "batch_norm:",
    "int64", "x.float()",
)  # fmt: skip
wrong(ArgumentTypeError, lambda m: m.nn.functional.batch_norm([[1.0]], None, None), "batch_norm:", "input", "list")
for name in ("layer_norm", "rms_norm"):
    wrong(
        ShapeError, lambda m, name=name: getattr(m.nn.functional, name)(m.ones(2, 3), (2,)), f"{name}:",
        "normalized_shape", "(2,)", "(2, 3)",
    )  # fmt: skip
    wrong(ShapeError, lambda m, name=name: getattr(m.nn.functional, name)(m.ones(2, 3), ()), f"{name}:", "at least one")
    wrong(
        ArgumentTypeError, lambda m, name=name: getattr(m.nn.functional, name)(m.ones(2, 3), 3), f"{name}:",
        "normalized_shape", "write (3,)",
    )  # fmt: skip
    wrong(
        ShapeError, lambda m, name=name: getattr(m.nn.functional, name)(m.ones(2, 3), (3,), m.ones(2)),
        f"{name}: weight", "(3,)", "(2,)",
    )  # fmt: skip
    wrong(
        DtypeError, lambda m, name=name: getattr(m.nn.functional, name)(m.ones(2, 3).long(), (3,)), f"{name}:",
        "int64", "input.float()",
    )  # fmt: skip
    wrong(
        DtypeError, lambda m, name=name: getattr(m.nn.functional, name)(m.ones(2, 3), (3,), m.ones(3).double()),
        f"{name}: weight", "float64", "float32", torch_allows=name == "rms_norm",
    )  # fmt: skip
    wrong(
        ArgumentTypeError, lambda m, name=name: getattr(m.nn.functional, name)(m.ones(2, 3), (3,), 1.0), f"{name}:",
        "weight", "float",
    )  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.layer_norm(m.ones(2, 3), (3,), m.ones(3), m.ones(2)), "layer_norm: bias",
    "(3,)", "(2,)",
)  # fmt: skip
wrong(ShapeError, lambda m: m.nn.functional.group_norm(m.ones(2, 3), 2), "group_norm:", "3 channels", "2 groups")
wrong(ArgumentError, lambda m: m.nn.functional.group_norm(m.ones(2, 3), 0), "group_norm:", "num_groups", "0")
wrong(ShapeError, lambda m: m.nn.functional.group_norm(m.ones(3), 3), "group_norm:", "(N, C)", "(3,)")
wrong(ShapeError, lambda m: m.nn.functional.group_norm(m.ones(1, 3), 3), "group_norm:", "more than 1 value", "(1, 3)")
wrong(ShapeError, lambda m: m.nn.functional.group_norm(m.ones(2, 4), 2, m.ones(2)), "group_norm: weight", "(4,)")
wrong(
    DtypeError, lambda m: m.nn.functional.group_norm(m.ones(2, 4), 2, m.ones(4).double()), "group_norm: weight",
    "float64", ".to(dtype)",
)  # fmt: skip
wrong(DtypeError, lambda m: m.nn.functional.group_norm(m.ones(2, 4).long(), 2), "group_norm:", "int64")
wrong(
    ShapeError, lambda m: m.nn.functional.instance_norm(m.ones(2, 3)), "instance_norm:", "more than 1 place", "(2, 3)"
)
wrong(ShapeError, lambda m: m.nn.functional.instance_norm(m.ones(3)), "instance_norm:", "(N, C, ...)", "(3,)")
wrong(
    ArgumentError, lambda m: m.nn.functional.instance_norm(m.ones(2, 3, 2), m.ones(3)), "instance_norm:",
    "running_mean and running_var",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.instance_norm(m.ones(2, 3, 2), use_input_stats=False), "instance_norm:",
    "use_input_stats=False",
)  # fmt: skip
wrong(
    ShapeError, lambda m: m.nn.functional.instance_norm(m.ones(2, 3, 2), weight=m.ones(2)), "instance_norm: weight",
    "(3,)", "(2,)",
)  # fmt: skip
wrong(DtypeError, lambda m: m.nn.functional.instance_norm(m.ones(2, 3, 2).long()), "instance_norm:", "int64")
wrong(
    ShapeError, lambda m: m.nn.functional.local_response_norm(m.ones(2, 3), 2), "local_response_norm:", "(N, C, ...)",
    "(2, 3)",
)  # fmt: skip
wrong(
    ArgumentError, lambda m: m.nn.functional.local_response_norm(m.ones(2, 3, 2), 0), "local_response_norm:", "size",
    "0", ">= 1",
)  # fmt: skip
wrong(
    DtypeError, lambda m: m.nn.functional.local_response_norm(m.ones(2, 3, 2).long(), 2), "local_response_norm:",
    "int64", torch_allows=True,
)  # fmt: skip
wrong(
    ArgumentTypeError, lambda m: m.nn.functional.local_response_norm(m.ones(2, 3, 2), 1.5), "local_response_norm:",
    "size must be an integer", "1.5",
)  # fmt: skip
wrong(ArgumentTypeError, lambda m: m.nn.functional.group_norm(m.ones(2, 4), 2.0), "group_norm:", "num_groups", "2.0")
wrong(ArgumentTypeError, lambda m: m.nn.functional.layer_norm(m.ones(2, 3), (3,), eps="a"), "layer_norm:", "eps", "'a'")
wrong(ArgumentTypeError, lambda m: m.nn.LayerNorm(2.5), "LayerNorm:", "normalized_shape", "2.5")
wrong(ArgumentTypeError, lambda m: m.nn.RMSNorm("ab"), "RMSNorm:", "normalized_shape", "'a'")
wrong(ArgumentTypeError, lambda m: m.nn.BatchNorm1d(2)([[1.0]]), "BatchNorm1d:", "input", "list")
wrong(DimError, lambda m: m.nn.functional.normalize(m.ones(3)), "normalize:", "dim 1", "-1 to 0")
wrong(DtypeError, lambda m: m.nn.functional.normalize(m.ones(2, 3).long()), "normalize:", "int64", "input.float()")
wrong(ArgumentTypeError, lambda m: m.nn.functional.normalize(m.ones(2, 3), p="x"), "normalize:", "p", "'x'")
wrong(ShapeError, lambda m: m.nn.BatchNorm3d(2)(m.ones(2, 2)), "BatchNorm3d:", "(N, C, D, H, W)", "(2, 2)")
wrong(ShapeError, lambda m: m.nn.BatchNorm1d(2)(m.ones(2, 3)), "BatchNorm1d:", "2 channels", "got 3", "(2, 3)")
wrong(ShapeError, lambda m: m.nn.InstanceNorm1d(2)(m.ones(2)), "InstanceNorm1d:", "(C, L) or (N, C, L)", "(2,)")
wrong(
    ShapeError, lambda m: m.nn.InstanceNorm2d(2, affine=True)(m.ones(1, 3, 2, 2)), "InstanceNorm2d:", "2 channels",
    "got 3",
)  # fmt: skip
wrong(ArgumentError, lambda m: m.nn.GroupNorm(2, 3), "GroupNorm:", "num_channels=3", "num_groups=2")
