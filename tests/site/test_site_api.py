"""The API pages: every public function has one, it says what the code says, and its links lead somewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

import minigrad
from lessons.workbench.site import api_calls, api_catalogue, api_code, api_kernels, torch_twin
from lessons.workbench.site.api_catalogue import by_name, plain, public_functions
from lessons.workbench.site.docstrings import blocks, inline, parsed, section

for library in ("markdown_it", "pygments", "latex2mathml"):
    pytest.importorskip(library, reason="the site needs the extra: pip install minigrad[site]")

from lessons.workbench.site import api, markup  # noqa: E402
from lessons.workbench.site.remembered import Remembered  # noqa: E402

PUBLIC = {p.name: p for p in public_functions()}


def no_link(_: str) -> str:
    return ""


@pytest.fixture(scope="module", autouse=True)
def a_cache_of_our_own(tmp_path_factory):
    """What tests build must not replace what the user's own builds remember."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIGRAD_DATA", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def problems():
    return []


@pytest.fixture(scope="module")
def pages(problems):
    return {page.url: page for page in api.api_pages(problems.append)}


# --- what is public ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "library"),
    [
        ("", minigrad),
        ("nn.functional.", minigrad.nn.functional),
        ("linalg.", minigrad.linalg),
        ("nn.", minigrad.nn),
        ("optim.", minigrad.optim),
        ("data.", minigrad.data),
    ],
)
def test_every_public_function_has_a_page(place, library):
    functions = [n for n in library.__all__ if api_catalogue._is_shown(library.__name__, n, getattr(library, n))]
    assert len(functions) > 10
    for name in functions:
        assert plain(by_name()[place + name].function) is plain(getattr(library, name))


def test_every_method_that_says_what_it_does_has_a_page():
    for name, method in vars(minigrad.Tensor).items():
        if not name.startswith("_") and callable(method) and method.__doc__:
            assert f"Tensor.{name}" in by_name()


def test_names_are_told_apart_on_every_file_system():
    urls = [f"{name}.html".lower() for name in api.names()] + ["index.html"]
    assert len(urls) == len(set(urls))


def test_second_names_lead_to_the_first():
    urls = api.urls()
    assert urls["absolute"] == urls["Tensor.abs"] == "api/abs.html"
    assert urls["expand"] == "api/Tensor.expand.html"
    assert set(urls.values()) == {f"api/{name}.html" for name in api.names()}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_function_says_what_it_does(name):
    docstring = parsed(PUBLIC[name].function.__doc__ or "")
    assert docstring.summary.endswith((".", ":", ")", "!", "?"))
    assert docstring.summary.count("`") % 2 == 0
    for title, content in docstring.sections:
        rendered = section(title, content, no_link)
        assert title not in ("Args", "Raises") or rendered.startswith("<dl"), f"{title} of {name}: {content}"


# --- pages ------------------------------------------------------------------------------------------------------------


def test_there_is_a_page_for_each_and_an_index(pages, problems):
    assert not problems
    assert set(pages) == {"api/index.html", *(f"api/{name}.html" for name in PUBLIC)}


class Links(HTMLParser):
    """Collects addresses, anchors and headings, and refuses what the site's rules forbid."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.titles = 0
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        self.titles += tag == "h1"
        if "id" in attributes:
            assert attributes["id"] not in self.anchors
            self.anchors.add(attributes["id"] or "")
        if tag == "a":
            self.links.append(attributes["href"] or "")
        if "src" in attributes:
            self.sources.append(attributes["src"] or "")


def test_links_lead_to_pages_and_nothing_is_loaded(pages):
    from lessons.workbench.catalogue import all_lessons

    lessons = {f"{lesson.name}.html" for lesson in all_lessons()}
    seen = 0
    for url, page in pages.items():
        reader = Links()
        reader.feed(page.body)
        assert reader.titles == 1, url
        assert not reader.sources
        assert {anchor for anchor, _ in page.headings} <= reader.anchors
        for link in reader.links:
            if link.startswith("https://") or link.startswith("http://"):
                continue
            target = link.partition("#")[0]
            if target.startswith("../"):
                assert target.removeprefix("../") in lessons, (url, link)
            else:
                assert f"api/{target}" in pages, (url, link)
            seen += 1
    assert seen > 1000


def test_pages_are_small(pages):
    sizes = {url: len(markup.shell(page).encode()) for url, page in pages.items()}
    assert sum(sizes.values()) < 4_000_000
    assert max(size for url, size in sizes.items() if url != "api/index.html") < 30_000
    assert sizes["api/index.html"] < 200_000


def test_a_page_says_what_there_is_to_know(pages):
    page = pages["api/nn.functional.conv2d.html"].body
    for part in (
        "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv2d.html",
        "nn.Conv2d",
        "kernels.conv_forward",
        "for the processor and for CUDA",
        "<math",
        "_biased_convolution",
        "of every order",
        "../backward_passes.html",
    ):
        assert part in page


def test_a_function_without_gradient_says_so(pages):
    assert "<dt>Gradient</dt><dd>none</dd>" in pages["api/eq.html"].body
    assert "<math" not in pages["api/eq.html"].body


def test_the_index_names_every_function_once(pages):
    body = pages["api/index.html"].body
    for name in PUBLIC:
        assert len(re.findall(rf'<dt><a href="{re.escape(name)}\.html">', body)) == 1


def test_pages_are_built_without_running_anything(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("an op was called")

    monkeypatch.setattr(minigrad.primitive.Op, "__call__", refuse)
    assert len(list(api.api_pages(pytest.fail, []))) == len(PUBLIC) + 1


def test_a_formula_that_cannot_be_shown_is_a_problem(monkeypatch):
    from lessons.workbench.site import api_gradient

    written = api_gradient.written

    def broken(formula):
        import dataclasses

        return dataclasses.replace(written(formula), latex=r"\unknowncommand{x}")

    monkeypatch.setattr(api_gradient, "written", broken)
    monkeypatch.setattr(api, "public_functions", lambda: (PUBLIC["exp"],))
    said: list[str] = []
    list(api.api_pages(said.append, []))
    assert len(said) == 1
    assert said[0].startswith("minigrad/ops/elementwise.py:")
    assert "unknowncommand" in said[0]


# --- what the code says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("exp", "exp(input: Tensor) -> Tensor"),
        ("sum", "sum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None)"),
        ("Tensor.fill_", "fill_(value: Any) -> Tensor"),
        (
            "nn.Conv1d",
            "Conv1d(in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1, padding: Padding = 0, "
            "dilation: Sizes = 1, groups: int = 1, bias: bool = True, padding_mode: str = 'zeros', dtype: Any = None, "
            "*, generator: Generator | None = None)",
        ),
        ("nn.ReLU", "ReLU(inplace: bool = False)"),
        ("nn.Tanh", "Tanh()"),
        ("linalg.vecdot", "vecdot(x: Tensor, y: Tensor, *, dim: int = -1)"),
    ],
)
def test_signatures_are_those_of_the_code(name, signature):
    written = " ".join(api_code.signature(PUBLIC[name]).split())
    assert written.replace("( ", "(").replace(", )", ")") == signature  # also where each parameter has a line


def test_a_composed_function_calls_what_the_tape_records():
    """Every op that a call records is among those that the page names, or behind one of the functions it names."""
    import sys
    from pathlib import Path

    sys.path.append(str(Path(__file__).parents[1] / "minigrad"))
    import op_cases
    import op_harness

    named = {}
    for public in PUBLIC.values():
        if not public.is_op:
            named[public.name] = _behind(public)
    checked = 0
    for case in op_cases.CASES[::7]:
        public = by_name().get(f"nn.functional.{case.op}") or by_name().get(case.op)
        if case.call is not None or public is None or public.is_op or not case.smooth:
            continue
        recorded = _recorded(case, op_harness)
        missing = {op for op in recorded if id(op) not in named[public.name]}
        # Operators and shapes are everywhere, and conversions come of promotion.
        missing = {op for op in missing if op.forward.__module__ not in EVERYWHERE}
        assert not missing, f"{public.name} records {missing}"
        checked += bool(recorded)
    assert checked > 100


EVERYWHERE = {
    "minigrad.ops.arithmetic", "minigrad.ops.convert", "minigrad.ops.shape", "minigrad.ops.compare",
    "minigrad.ops.indexing", "minigrad.primitive", "minigrad.tape", "minigrad.ops.permutation",
    "minigrad.ops.linear_algebra",
}  # fmt: skip


def _behind(public) -> set[int]:
    found, todo, seen = set(), [public], set()
    while todo:
        p = todo.pop()
        if p.name in seen:
            continue
        seen.add(p.name)
        calls = api_calls.calls(p)
        todo += calls.public
        found |= {id(q.op) for q in calls.primitives}
        if p.is_op:
            found.add(id(p.function))
    return found


def _recorded(case, op_harness):
    """The ops on the tape behind the results of a case."""
    import numpy as np

    rng = np.random.default_rng(0)

    def made(value):
        if isinstance(value, op_harness.Dtype):
            return getattr(minigrad, value.name)
        if not isinstance(value, op_harness.Draw):
            return value
        return op_harness.tensor(minigrad, value.draw(rng, "float64"), value.floating and value.differentiate)

    args, kwargs = op_harness.filled(case.args, made), op_harness.filled(case.kwargs, made)
    result = op_harness.call(case, minigrad, args, kwargs)
    todo = [r for r in (result if isinstance(result, (tuple, list)) else [result]) if isinstance(r, minigrad.Tensor)]
    found, seen = set(), set()
    while todo:
        t = todo.pop()
        if t._node is not None and id(t) not in seen:
            seen.add(id(t))
            found.add(t._node.op)
            todo += t._node.inputs
    return found


def test_gradients_of_every_order_are_claimed_where_they_exist():
    """The op tables know which ops have no second gradient, or one that vanishes; what raises must not be promised."""
    refusing = api_calls.primitive_of(minigrad.ops.decompositions._r_alone)
    assert refusing is not None
    assert api_calls.every_order(api_calls.primitive_of(minigrad.exp))
    assert not api_calls.every_order(api_calls.primitive_of(minigrad.floor_divide))


def test_kernels_are_read_from_the_code():
    convolution = minigrad.nn.functional.convolution
    found = api_kernels.kernels_of(convolution, "_convolution")
    assert found == (api_kernels.Kernel("conv_forward", True, True),)
    pooling = minigrad.nn.functional._pooling
    assert api_kernels.kernels_of(pooling, "_means") == (api_kernels.Kernel("avg_pool_forward", True, False),)
    assert not api_kernels.kernels_of(minigrad.ops.elementwise, "exp")


# --- PyTorch ----------------------------------------------------------------------------------------------------------


def test_every_twin_exists_in_pytorch():
    torch = pytest.importorskip("torch", reason="compares with an installed PyTorch")

    def found(name):
        value = torch
        for part in name.split(".")[1:]:
            value = getattr(value, part)
        return value

    for name in PUBLIC:
        twin = torch_twin.twin(name)
        if twin is not None:
            assert found(twin.name) is not None
            documented = re.search(r"generated/(.*)\.html$", twin.url)
            if documented and ".gradcheck." not in twin.url:
                assert found(documented.group(1)).__doc__, f"{twin.name} has no documentation to link to"


@pytest.mark.parametrize("name", sorted(torch_twin.OURS))
def test_what_is_ours_alone_is_not_in_pytorch(name):
    torch = pytest.importorskip("torch", reason="compares with an installed PyTorch")
    found = torch
    for part in name.split("."):
        found = getattr(found, part, None)
    assert found is None


# --- docstrings -------------------------------------------------------------------------------------------------------

EXAMPLE = """Adds x * y and *z*; see `exp`.

    y[n] = x[n] + 1

More, at https://arxiv.org/abs/1502.03167.

- one thing
- another

Args:
    x: the first,
        over two lines.
    y, z: both
Raises:
    ShapeError: never.

Source: A. Author (2020).
"""


def test_a_docstring_in_parts():
    docstring = parsed(EXAMPLE)
    assert docstring.summary == "Adds x * y and *z*; see `exp`."
    assert [name for name, _ in docstring.sections] == ["Args", "Raises"]
    assert "Source: A. Author (2020)." in docstring.body


def test_a_docstring_is_not_markdown():
    html = inline("x * y * z, a_b_c, `exp` and <b>", {"exp": "exp.html"}.get)
    assert html == 'x * y * z, a_b_c, <a href="exp.html"><code>exp</code></a> and &lt;b&gt;'


def test_sections_are_definition_lists():
    args = dict(parsed(EXAMPLE).sections)["Args"]
    assert section("Args", args, no_link) == (
        '<dl class="entries"><dt><code>x</code></dt><dd>the first, over two lines.</dd>'
        "<dt><code>y</code>, <code>z</code></dt><dd>both</dd></dl>"
    )


def test_paragraphs_lists_and_examples():
    html = blocks(parsed(EXAMPLE).body, no_link, lambda code: markup.Html(f"<pre>{code}</pre>"))
    assert "<pre>y[n] = x[n] + 1</pre>" in html
    assert "<ul><li>one thing</li><li>another</li></ul>" in html
    assert '<a href="https://arxiv.org/abs/1502.03167" rel="external noreferrer">' in html


# --- what is remembered -----------------------------------------------------------------------------------------------


@pytest.fixture
def maker(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "cache"))
    path = tmp_path / "code.py"
    path.write_text("1")
    return path


def test_pieces_are_remembered_until_their_maker_changes(maker):
    first = Remembered("test", [maker], ["numpy"])
    assert first.piece("code", "x", lambda: "made") == "made"
    first.save()
    again = Remembered("test", [maker], ["numpy"])
    assert again.piece("code", "x", lambda: pytest.fail("made twice")) == "made"
    assert again.piece("other", "x", lambda: "another kind") == "another kind"
    maker.write_text("2")
    assert Remembered("test", [maker], ["numpy"]).piece("code", "x", lambda: "new") == "new"


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"code\\u0000x": "wrong"}\n00', b"\xff\xfe"])
def test_a_damaged_file_is_as_good_as_none(maker, damage):
    first = Remembered("test", [maker], ["numpy"])
    first.piece("code", "x", lambda: "made")
    first.save()
    first.path.write_bytes(damage)
    assert Remembered("test", [maker], ["numpy"]).piece("code", "x", lambda: "made again") == "made again"


def test_what_nobody_asks_for_is_forgotten(maker):
    first = Remembered("test", [maker], ["numpy"])
    first.piece("code", "x", lambda: "made")
    first.save()
    second = Remembered("test", [maker], ["numpy"])
    second.piece("code", "y", lambda: "other")
    second.save()
    assert set(Remembered("test", [maker], ["numpy"]).pieces) == {"code\0y"}


def test_old_files_go(maker):
    for version in range(6):
        maker.write_text(str(version))
        remembered = Remembered("test", [maker], ["numpy"])
        remembered.piece("code", "x", lambda: "made")
        remembered.save()
    assert len(list(remembered.path.parent.iterdir())) == 3


def test_a_folder_that_cannot_be_written_is_no_problem(maker, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "file"))
    remembered = Remembered("test", [maker], ["numpy"])
    assert remembered.piece("code", "x", lambda: "made") == "made"
    remembered.save()
