"""The child: loads the learner's file, then answers calls until its standard input ends.

Standard input brings requests and standard output takes replies, one frame each (`codec`).  Before anything of the
learner's runs, both move to other descriptors: what the learner prints goes where standard error goes, and there is
nothing to read.  The parent believes nothing that comes from here.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import linecache
import os
import sys
import traceback
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lessons.lab import evidence
from lessons.workbench.sandbox import codec
from lessons.workbench.sandbox.watch import end_with_parent

_FRAMES = 4  # lines of a traceback worth showing
_WARNINGS = 3  # warnings of one call worth passing on
_NAMES = 2000  # of a file that has more, the first so many are offered


def serve(requests: BinaryIO, replies: BinaryIO, confine: Callable[[dict[str, Any]], dict[str, str]]) -> None:
    """Answer requests until there are none; ``confine`` puts the limits of the first one in force and tells which."""
    learner = _Learner("")
    while True:
        prefix = requests.read(codec.PREFIX)
        if len(prefix) < codec.PREFIX:
            return
        content = bytearray(requests.read(codec.frame_length(prefix, sys.maxsize)))
        head, value = codec.unpack(content)
        if head["kind"] == "confine":  # answered before anything of the learner's could change the answer
            reply = codec.pack({"kind": "confined"}, confine(head))
        elif head["kind"] == "load":
            learner = _Learner(head["path"])
            reply = learner.load(value.tobytes())
        else:
            reply = learner.call(head["name"], *value)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # the learner may have put anything there
                stream.flush()
        replies.write(reply)
        replies.flush()


class _Learner:
    """The learner's module, and what happens in it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.module = types.ModuleType(f"homework_{Path(path).stem}")

    def load(self, content: bytes) -> bytes:
        """Run the file; the reply lists what it defines."""
        # Lines for tracebacks come from what was loaded, not from what the file has become since.
        lines = content.decode("utf-8", "replace").splitlines(keepends=True)
        linecache.cache[self.path] = (len(content), None, lines, self.path)
        self.module.__file__ = self.path
        sys.modules[self.module.__name__] = self.module
        sys.path.append(str(Path(self.path).parent))
        try:
            exec(compile(content, self.path, "exec", dont_inherit=True), vars(self.module))
        except SyntaxError as error:
            if error.filename != self.path:
                return self._failure(error)
            where = [f"line {error.lineno}: {(error.text or '').strip()}"]
            return codec.pack({"kind": "error", "syntax": str(error.msg), "lines": where})
        except BaseException as error:
            return self._failure(error)
        functions, others = self._definitions()
        return codec.pack({"kind": "loaded"}, {"functions": functions, "others": others})

    def _definitions(self) -> tuple[dict[str, Any], dict[str, str]]:
        functions: dict[str, Any] = {}
        others: dict[str, str] = {}
        for name, value in list(vars(self.module).items())[:_NAMES]:
            if name.startswith("__") or isinstance(value, types.ModuleType):
                continue
            if callable(value):
                functions[name] = _parameters(value)
            else:
                others[name] = _shown(value)
        return functions, others

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Call one function; the reply carries its result, NumPy's warnings and evidence, or what it raised."""
        with warnings.catch_warnings(record=True) as caught, evidence.collected() as told:
            warnings.simplefilter("always")
            try:
                result = vars(self.module)[name](*args, **kwargs)
                said = [str(w.message) for w in caught[:_WARNINGS]]
                return codec.pack({"kind": "result", "warnings": said, "evidence": evidence.plain(told)}, result)
            except BaseException as error:
                return self._failure(error)

    def _failure(self, error: BaseException) -> bytes:
        try:
            text = str(error).strip()
        except Exception:
            text = "(its message cannot be shown)"
        head = {
            "kind": "error",
            "type": type(error).__name__,
            "text": text[:2000],
            "not started": type(error) is NotImplementedError,
            "memory": isinstance(error, MemoryError),
            "lines": self._traceback(error),
        }
        return codec.pack(head)

    def _traceback(self, error: BaseException) -> list[str]:
        """The learner's frames, innermost first.  A sibling of the learner's file is the learner's, too."""
        folder = os.path.dirname(self.path)
        lines: list[str] = []
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if os.path.dirname(frame.filename) != folder:
                continue
            line = f"{os.path.basename(frame.filename)}, line {frame.lineno}, in {frame.name}:  {frame.line}"
            if line not in lines:  # a recursion says the same a thousand times
                lines.append(line)
        return lines[:_FRAMES]


def _parameters(function: Callable[..., Any]) -> list[Any] | None:
    """The parameters as (name, kind, whether it has a default, the default as text); None where they are unknown."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except Exception:  # builtins and the like; or the learner's own idea of a signature
        return None
    return [
        [str(p.name), int(p.kind), p.default is not p.empty, "" if p.default is p.empty else _shown(p.default)]
        for p in parameters
    ]


def _shown(value: Any) -> str:
    try:
        return repr(value)[:200]
    except Exception:
        return f"<{type(value).__name__}>"


def main(scratch: str | None) -> None:
    """What ``python -m lessons.workbench.sandbox.child`` does; ``scratch`` is a folder for one that is confined."""
    from lessons.workbench.sandbox import confine

    account = confine.Account() if scratch is None else confine.enter_namespaces(scratch)
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    # Learners use them. Later is slower, and what belongs to the lessons cannot be read any more.
    for name in ("inspect", "traceback", "numpy.linalg", "numpy.random", "lessons.lab.cuda"):
        importlib.import_module(name)
    np.zeros(1) @ np.zeros(1)  # the first product makes OpenBLAS ready
    if scratch is None:
        end_with_parent(requests.fileno())
    replies.write(codec.pack({"kind": "ready"}))
    replies.flush()
    serve(requests, replies, lambda head: confine.confine(head, account) if scratch else confine.leave_free(head))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
