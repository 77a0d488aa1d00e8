"""What a function is built on: the public functions that its code calls, and the ops behind it that are private."""

from __future__ import annotations

import ast
import functools
import inspect
import types
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lessons.workbench.site.api_catalogue import Public, by_identity, is_op, ops, plain
from lessons.workbench.site.api_code import Source, definition, piece, source_of
from lessons.workbench.site.engine_code import Derivative, derivatives, function_tree


@dataclass(frozen=True)
class Primitive:
    """An op as it is written in the engine, public or not."""

    op: Any
    home: types.ModuleType
    written: str
    derivative: Derivative | None

    @property
    def differentiable(self) -> bool:
        return self.derivative is not None


@functools.cache
def _tensor_methods() -> dict[str, Public]:
    return {
        name.removeprefix("Tensor."): p
        for p in by_identity().values()
        for name in (p.name, *p.others)
        if name.startswith("Tensor.")
    }


_NOT_OPS = {"numpy", "item", "tolist", "dim", "size", "numel", "shape", "backward", "grad", "data", "device", "copy"}


@dataclass(frozen=True)
class Calls:
    """What a function calls, through private functions too: public functions, and ops that are not public."""

    public: tuple[Public, ...]
    primitives: tuple[Primitive, ...]


def primitive_of(op: Any) -> Primitive | None:
    """An op as it is written, if it is one of the engine's."""
    found = ops().get(id(op))
    if found is None:
        return None
    home, written = found
    return Primitive(op, home, written, derivatives(home).get(written))


def calls(public: Public) -> Calls:
    """What a public function calls; an op, which works on arrays, calls nothing but kernels."""
    if public.is_op:
        return Calls((), ())
    found = _called(public)
    publics: list[Public] = []
    primitives: list[Primitive] = []
    for value in found.values():
        known = by_identity().get(id(plain(value)))
        if known is not None and known is not public:
            publics.append(known)
        elif is_op(value) and known is None and (primitive := primitive_of(value)) is not None:
            twin = public_twin(primitive)
            if twin is None or twin is public or id(value) not in _called(twin):
                primitives.append(primitive)
            elif twin not in publics:
                publics.append(twin)
    return Calls(tuple(dict.fromkeys(publics)), tuple(primitives))


@functools.cache
def _called(public: Public) -> dict[int, Any]:
    """By identity what a public function calls, itself or through private functions."""
    found: dict[int, Any] = {}
    node = definition(public.home, public.written)
    if node is not None and not public.is_op:
        _follow(public.home, node, found, set())
    return found


def public_twin(primitive: Primitive) -> Public | None:
    """The public function around a private op of its name in its file: `matmul` of `_matmul`."""
    function = primitive.home.__dict__.get(primitive.written.strip("_"))
    return None if function is None or function is primitive.op else by_identity().get(id(plain(function)))


def _follow(home: types.ModuleType, node: ast.AST, found: dict[int, Any], seen: set[int]) -> None:
    """Collect what the code names: public functions and ops; private functions are followed into."""
    for value in named_in(home, node):
        if id(value) in seen:
            continue
        seen.add(id(value))
        if is_op(value) or id(plain(value)) in by_identity():
            found[id(value)] = value
        elif isinstance(value, types.FunctionType) and value.__module__.startswith("minigrad."):
            module = inspect.getmodule(value)
            tree = None if module is None else function_tree(module, value.__name__)
            if module is not None and tree is not None and not _is_a_check(tree):
                _follow(module, tree, found, seen)


def _is_a_check(tree: ast.FunctionDef) -> bool:
    return tree.returns is not None and ast.unparse(tree.returns) == "None"


_NAMED: dict[int, list[Any]] = {}  # by the identity of syntax trees, which are kept for good


def named_in(home: types.ModuleType, node: ast.AST) -> list[Any]:
    """The functions that a piece of code names, in its order: by themselves, in modules, as methods of a tensor."""
    if id(node) not in _NAMED:
        _NAMED[id(node)] = list(_names_in(home, node))
    return _NAMED[id(node)]


def _names_in(home: types.ModuleType, node: ast.AST) -> Iterator[Any]:
    if isinstance(node, ast.ClassDef):  # each method has arrays of its own
        for statement in node.body:
            yield from _names_in(home, statement) if isinstance(statement, ast.FunctionDef) else ()
        return
    body: Iterable[ast.AST] = node.body if isinstance(node, ast.FunctionDef) else [node]
    arrays = _arrays(node) if isinstance(node, ast.FunctionDef) else frozenset()
    for part in body:
        for n in _without_checks(part):
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load):
                yield from _functions_in(home.__dict__.get(n.id))
            elif isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name):
                owner = home.__dict__.get(n.value.id)
                if isinstance(owner, types.ModuleType) and owner.__name__.startswith("minigrad"):
                    yield from _functions_in(getattr(owner, n.attr, None))
            if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute):
                method = None if _is_array(n.func.value, arrays) else _method(home, n.func)
                if method is not None:
                    yield method.function


def _without_checks(node: ast.AST) -> Iterator[ast.AST]:
    """Everything below a node but what only looks: tests that raise, and what makes Python numbers."""
    if isinstance(node, ast.If) and all(isinstance(s, ast.Raise) for s in node.body):
        for part in node.orelse:
            yield from _without_checks(part)
        return
    if isinstance(node, ast.Raise):
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("int", "bool", "float"):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _without_checks(child)


def _functions_in(value: Any) -> Iterator[Any]:
    """A function, or those in a table of functions."""
    if isinstance(value, dict):
        value = tuple(value.values())
    for each in value if isinstance(value, tuple) else (value,):
        if callable(each) and not isinstance(each, type):
            yield each


def _arrays(node: ast.FunctionDef) -> frozenset[str]:
    """The names in a function that stand for NumPy arrays: by annotation, or computed with NumPy."""
    args = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    found = {a.arg for a in args if a.annotation is not None and "Array" in ast.unparse(a.annotation)}
    for n in ast.walk(node):
        if isinstance(n, ast.Assign) and _is_array(n.value, found):
            for target in n.targets:
                found |= {t.id for t in ast.walk(target) if isinstance(t, ast.Name)}
        elif isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name) and "Array" in ast.unparse(n.annotation):
            found.add(n.target.id)
    return frozenset(found)


def _is_array(node: ast.expr, arrays: Collection[str]) -> bool:
    """Whether an expression is made with NumPy or of arrays; what makes a tensor of them ends that."""
    match node:
        case ast.Name(id=name):
            return name in arrays or name == "np"
        case ast.Call(func=ast.Name(id="from_array" | "as_tensor" | "tensor" | "where" | "_where")):
            return False
        case ast.Attribute(value=value, attr=attr):
            return attr in ("_array", "shape") or _is_array(value, arrays)
        case ast.Call(func=func):
            return _is_array(func, arrays)
        case ast.BinOp(left=left, right=right):
            return _is_array(left, arrays) or _is_array(right, arrays)
        case ast.Compare(left=left) | ast.Subscript(value=left) | ast.UnaryOp(operand=left):
            return _is_array(left, arrays)
    return False


def _method(home: types.ModuleType, func: ast.Attribute) -> Public | None:
    """The method of Tensor that is called, if it can be no method of a text, a list or a dict."""
    if func.attr in _NOT_OPS:
        return None
    if isinstance(func.value, ast.Name) and isinstance(home.__dict__.get(func.value.id), types.ModuleType):
        return None
    if any(hasattr(kind, func.attr) for kind in (str, list, dict, tuple)):
        return None
    return _tensor_methods().get(func.attr)


# --- gradients of gradients -------------------------------------------------------------------------------------------


def gradient_source(primitive: Primitive) -> list[Source]:
    """The `defvjp` statement of an op, after the functions that it names."""
    derivative = primitive.derivative
    assert derivative is not None
    named = [v for v in (*derivative.vjps, derivative.joint) if v is not None]
    names = dict.fromkeys(n.id for v in named for n in ast.walk(v) if isinstance(n, ast.Name))
    found = []
    for name in names:
        function = primitive.home.__dict__.get(name)
        if isinstance(function, types.FunctionType) and inspect.getmodule(function) is not None:
            home = inspect.getmodule(function)
            assert home is not None
            if home.__name__ != "minigrad.tape":  # `vjp_of` has a page of its own
                source = source_of(home, function.__name__)
                found += [] if source is None else [source]
    statement = derivative.statement
    return [*found, piece(primitive.home, statement.lineno, statement.end_lineno or statement.lineno)]


@functools.cache
def _gradient_ops(op: int) -> tuple[Primitive, ...]:
    """The ops of which an op's gradient is made."""
    home, written = ops()[op]
    derivative = derivatives(home).get(written)
    if derivative is None:
        return ()
    found: dict[int, Any] = {}
    for code in (*derivative.vjps, derivative.joint):
        if code is not None:
            _follow_ops(home, code, found, set())
    return tuple(p for p in map(primitive_of, found.values()) if p is not None)


def _follow_ops(home: types.ModuleType, node: ast.AST, found: dict[int, Any], seen: set[int]) -> None:
    for value in named_in(home, node):
        if id(value) in seen:
            continue
        seen.add(id(value))
        if is_op(value):
            found[id(value)] = value
        elif isinstance(value, types.FunctionType) and value.__module__.startswith("minigrad."):
            module = inspect.getmodule(value)
            tree = None if module is None else function_tree(module, value.__name__)
            if module is not None and tree is not None and module.__name__ != "minigrad.tape":
                _follow_ops(module, tree, found, seen)


def every_order(primitive: Primitive) -> bool:
    """Whether gradients of every order exist: the gradient is made of ops with gradients, and so on."""
    todo, seen = [primitive], set()
    while todo:
        p = todo.pop()
        if id(p.op) in seen:
            continue
        seen.add(id(p.op))
        if p.op.differentiable and p.derivative is None:
            return False
        todo += _gradient_ops(id(p.op))
    return True
