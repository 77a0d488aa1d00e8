"""A page for each public function of minigrad, and an index of them by the file in which they are written.

Nothing is run: all that stands on a page is read from the code, from the names to the formula of the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lessons.workbench.site.anchors import api_url, slug
from lessons.workbench.site.api_calls import Calls, Primitive, calls, every_order, primitive_of
from lessons.workbench.site.api_catalogue import Public, by_name, public_functions
from lessons.workbench.site.api_code import signature, source_of
from lessons.workbench.site.api_gradient import Gradients, Pieces, breakable, row
from lessons.workbench.site.api_kernels import kernels_of
from lessons.workbench.site.api_uses import Use, modules, uses
from lessons.workbench.site.docstrings import Docstring, blocks, inline, parsed, section
from lessons.workbench.site.markup import EMPTY, Html, Link, Mark, Page, element, joined
from lessons.workbench.site.torch_twin import twin

if TYPE_CHECKING:
    from lessons.anatomy import Lesson

INDEX = Link("api/index.html", "All functions")

# (for the processor, for a GPU)
COMPILED = {
    (True, True): " for the processor and for CUDA",
    (True, False): " for the processor",
    (False, True): " for CUDA",
    (False, False): "",
}

OPERATORS = {
    "add": "x + y", "sub": "x - y", "mul": "x * y", "div": "x / y", "floor_divide": "x // y", "remainder": "x % y",
    "pow": "x ** y", "matmul": "x @ y", "neg": "-x", "abs": "abs(x)", "getitem": "x[index]", "eq": "x == y",
    "ne": "x != y", "lt": "x < y", "le": "x <= y", "gt": "x > y", "ge": "x >= y", "bitwise_and": "x & y",
    "bitwise_or": "x | y", "bitwise_xor": "x ^ y", "bitwise_left_shift": "x << y", "bitwise_right_shift": "x >> y",
}  # fmt: skip


def names() -> frozenset[str]:
    """The public names that have a page of their own: "exp", "nn.functional.conv2d", "Tensor.backward"."""
    return frozenset(p.name for p in public_functions())


def urls() -> dict[str, str]:
    """Where each public name is explained, second names too: "absolute" leads to the page of `abs`."""
    return {name: api_url(public.name) for name, public in by_name().items()}


def api_pages(report_problem: Callable[[str], None], lessons: Sequence[Lesson] | None = None) -> Iterator[Page]:
    """The index, and a page for each public function.

    Args:
        report_problem: called with a line for each formula that cannot be shown.
        lessons: whose uses are listed; all of them by default.
    """
    if lessons is None:
        from lessons.workbench.catalogue import all_lessons

        lessons = all_lessons()
    functions = public_functions()
    yield index_page(functions)
    pieces = Pieces(report_problem)
    used = uses(lessons, pieces.remembered)
    by_family = [f for _, members in families(functions) for f in members]
    for i, public in enumerate(by_family):
        before = by_family[i - 1] if i else None
        after = by_family[i + 1] if i + 1 < len(by_family) else None
        yield FunctionPage(public, used.get(public.name, []), pieces).page(before, after)
    pieces.remembered.save()


# --- the index --------------------------------------------------------------------------------------------------------


def families(functions: Sequence[Public]) -> list[tuple[str, list[Public]]]:
    """The functions by the file that they are written in: ops first, then functional, then what is around them."""
    found: dict[str, list[Public]] = {}
    for public in functions:
        found.setdefault(public.family, []).append(public)
    return sorted(
        ((family, sorted(members, key=lambda p: p.name.lower())) for family, members in found.items()),
        key=lambda pair: (_rank(pair[0]), pair[0]),
    )


def _rank(family: str) -> int:
    order = ("minigrad.ops.", "minigrad.linalg", "minigrad.nn.functional.", "minigrad.nn.", "minigrad.tensor")
    return next((i for i, start in enumerate(order) if family.startswith(start)), len(order))


def index_page(functions: Sequence[Public]) -> Page:
    """All functions with their first sentences, by family."""
    body: list[Html] = []
    headings = []
    for family, members in families(functions):
        anchor, title = slug(family.removeprefix("minigrad.")), _family_title(family)
        headings.append((anchor, title))
        body.append(element("h2", title, id=anchor))
        about = parsed(members[0].home.__doc__ or "").summary
        body.append(element("p", inline(about, lambda _: ""), " ", element("code", _path(family)), class_="family"))
        rows = [row for public in members for row in _index_row(public)]
        body.append(element("dl", *rows, class_="functions"))
    count = len(functions)
    head = element(
        "div",
        element("h1", "All functions"),
        element(
            "p",
            f"The {count} public functions and classes of minigrad, by the file in which they are written. Names, "
            "arguments and numbers are PyTorch's; each page shows the code, and the gradient as code and as a formula.",
            class_="headline",
        ),
        class_="head",
    )
    page = element("div", head, *body, class_="api-index")
    return Page("api/index.html", "API", page, headings, description="Every public function of minigrad.", kind="api")


def _index_row(public: Public) -> tuple[Html, Html]:
    seconds = [n for n in public.others if not n.startswith("Tensor.")]
    also = joined([" (", joined([element("code", n) for n in seconds], ", "), ")"]) if seconds else EMPTY
    name = element("a", element("code", public.name), href=f"{public.name}.html")
    return element("dt", name, also), element("dd", inline(_docstring(public).summary, _link_from_api))


def _family_title(family: str) -> str:
    parts = family.removeprefix("minigrad.").strip("_").split(".")
    title = parts[-1].strip("_").replace("_", " ")
    where = {"ops": "", "nn": " (nn)"}.get(parts[0], "") if len(parts) > 1 else ""
    where = " (nn.functional)" if "functional" in parts[:-1] and parts[0] == "nn" else where
    where = " (autograd)" if parts[0] == "autograd" else where
    return ("the package itself" if family == "minigrad" else title).capitalize() + where


def _path(family: str) -> str:
    return "minigrad/__init__.py" if family == "minigrad" else family.replace(".", "/") + ".py"


def _docstring(public: Public) -> Docstring:
    return parsed(public.function.__doc__ or "")


def _link_from_api(code: str) -> str:
    """Where a name in a docstring leads, from a page in api/."""
    name = code.removeprefix("minigrad.").removesuffix("()").split("(")[0]
    public = by_name().get(name) or by_name().get(f"nn.functional.{name}")
    return "" if public is None else f"{public.name}.html"


# --- the page of a function -------------------------------------------------------------------------------------------


@dataclass
class FunctionPage:
    """The page of one public function."""

    public: Public
    used: Sequence[Use]
    pieces: Pieces

    def page(self, before: Public | None, after: Public | None) -> Page:
        """The page, between the two beside it in its family."""
        public = self.public
        self.calls: Calls = calls(public)
        sections = [s for s in (self.gradient(), self.code(), self.lessons()) if s is not None]
        body = joined([self.head(), *(content for _, _, content in sections)])
        summary = _docstring(public).summary
        return Page(
            api_url(public.name),
            public.name,
            element("div", body, class_="function"),
            [(anchor, title) for anchor, title, _ in sections],
            [Mark("function", "", name) for name in (public.name, *public.others)],
            summary.replace("`", ""),
            "api",
            previous=None if before is None else Link(api_url(before.name), before.name),
            next=None if after is None else Link(api_url(after.name), after.name),
        )

    # --- head ---

    def head(self) -> Html:
        """Name, what it does, how it is called, and what there is to know at a glance."""
        snippet = self.pieces.snippet
        documentation = _docstring(self.public)
        place, _, short = self.public.name.rpartition(".")
        where = f"minigrad.{place}." if place else "minigrad."
        sections = [
            joined([element("h3", name), section(name, content, _link_from_api)])
            for name, content in documentation.sections
        ]
        head = element(
            "div",
            element("p", element("a", "All functions", href="index.html"), class_="subject"),
            element("h1", element("code", element("span", breakable(where), class_="where-from"), breakable(short))),
            element("p", inline(documentation.summary, _link_from_api), class_="headline"),
            class_="head",
        )
        about = [blocks(documentation.body, _link_from_api, snippet), *sections]
        facts = element("dl", *self.facts(), class_="facts")
        how = [snippet(signature(self.public)), facts] if any(about) else [snippet(signature(self.public))]
        # On a phone, how it is called comes before what is said about it; on wide screens it stands beside it.
        notes = element("div", *(about if any(about) else [facts]), class_="prose")
        return joined([head, element("div", element("div", *how, class_="work"), notes, class_="row call")])

    def facts(self) -> list[Html]:
        """Terms and their meanings: PyTorch's twin, other names, modules, gradients, kernels."""
        facts: list[tuple[str, Html]] = []
        torch = twin(self.public.name)
        if torch is not None:
            link = element("a", element("code", torch.name), href=torch.url, rel="external noreferrer")
            facts.append(("PyTorch", link if torch.url else element("code", torch.name)))
        seconds = [n for n in self.public.others if not n.startswith("Tensor.")]
        if seconds:
            facts.append(("Also called", _codes(seconds)))
        methods = [n.removeprefix("Tensor.") for n in self.public.others if n.startswith("Tensor.")]
        forms = [f"x.{m}()" if len(self.required()) < 2 else f"x.{m}(...)" for m in methods]
        forms += [OPERATORS[self.public.name]] if self.public.name in OPERATORS else []
        if forms:
            facts.append(("On a tensor", _codes(forms)))
        classes = modules().get(self.public.name, ())
        if classes:
            facts.append(("In modules", _links(classes)))
        if self.calls.public:
            facts.append(("Built on", _links([p.name for p in self.calls.public])))
        facts += self.orders()
        facts += self.kernels()
        return [part for term, meaning in facts for part in (element("dt", term), element("dd", meaning))]

    def required(self) -> list[str]:
        """The parameters without a default."""
        import inspect

        from lessons.workbench.site.api_catalogue import plain

        parameters = inspect.signature(plain(self.public.function)).parameters.values()
        return [p.name for p in parameters if p.default is p.empty]

    def primitives(self) -> list[Primitive]:
        """The ops that are explained here: the function itself if it is one, else those behind it."""
        if self.public.is_op:
            own = primitive_of(self.public.function)
            return [] if own is None else [own]
        return list(self.calls.primitives)

    def orders(self) -> list[tuple[str, Html]]:
        """Whether there are gradients, and gradients of gradients."""
        own = self.primitives()
        if self.public.is_op and own and not own[0].differentiable:
            return [("Gradient", joined(["none"]))]
        with_gradient = [p for p in own if p.differentiable]
        if with_gradient and all(every_order(p) for p in with_gradient):
            return [("Gradients", joined(["of every order"]))]
        return []

    def kernels(self) -> list[tuple[str, Html]]:
        """The compiled versions."""
        found = [kernel for p in self.primitives() for kernel in kernels_of(p.home, p.written)]
        found += [] if self.public.is_op else kernels_of(self.public.home, self.public.written)
        groups: dict[tuple[bool, bool], list[str]] = {}
        for kernel in dict.fromkeys(found):
            groups.setdefault((kernel.cpu, kernel.cuda), []).append(f"kernels.{kernel.name}")
        said = [joined([_codes(names), COMPILED[kinds]]) for kinds, names in groups.items()]
        return [("Kernels", joined(said, "; "))] if said else []

    # --- sections ---

    def gradient(self) -> tuple[str, str, Html] | None:
        """The vjps, as formulas and as code."""
        mine = [p for p in self.primitives() if p.differentiable]
        if not mine:
            return None
        head: list[Html] = [element("h2", "Gradient", id="gradient")]
        if not self.public.is_op:
            ops = _codes([p.written for p in mine])
            head.append(element("p", "The tape records, beside public functions: ", ops, ".", class_="legend"))
        return "gradient", "Gradient", Gradients(self.public, self.pieces).of(mine, head)

    def code(self) -> tuple[str, str, Html] | None:
        """The function itself, and the forwards of the ops behind it."""
        snippet = self.pieces.snippet
        source = source_of(self.public.home, self.public.written)
        if source is None:
            return None
        place = element("p", element("code", f"{source.path}:{source.first}"), class_="place")
        behind = []
        if not self.public.is_op:
            for primitive in self.calls.primitives:
                forward = source_of(primitive.home, primitive.written)
                behind += [] if forward is None else [snippet(forward.text)]
        return "code", "Code", row([element("h2", "Code", id="code"), place], [snippet(source.text), *behind])

    def lessons(self) -> tuple[str, str, Html] | None:
        """The places in lessons where it is used, by lesson."""
        if not self.used:
            return None
        items = []
        for lesson in dict.fromkeys(use.lesson for use in self.used):
            mine = list({use.place: use for use in reversed(self.used) if use.lesson == lesson}.values())[::-1]
            places = joined([element("a", use.place, href=f"../{use.url}") for use in mine[:6]], ", ")
            more = f" and {len(mine) - 6} more" if len(mine) > 6 else ""
            items.append(element("li", f"{mine[0].title}: ", places, more))
        head = element("h2", "In the lessons", id="lessons")
        return "lessons", "In the lessons", row([head, element("ul", *items)], [])


def _links(names: Sequence[str]) -> Html:
    return joined([element("a", element("code", name), href=f"{name}.html") for name in names], ", ")


def _codes(names: Sequence[str]) -> Html:
    return joined([element("code", name) for name in names], ", ")
