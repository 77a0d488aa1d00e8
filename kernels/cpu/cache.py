"""Machine code on disk, so that only the first process after an installation compiles.

Numba has such a cache, and we keep its idea but not its files. There, one index file per function lists what has been
compiled, and it counts as fresh while the function's *own* file is unchanged. A kernel here is made of functions of
several files, so an edit or an upgrade could leave old machine code in use; two processes can write to one index at
once; and where no folder is writable, Numba refuses to compile at all.

Here every compiled version has a file to itself, and *the name of the file says all that its contents depend on*:

    forward_lines-<what>.<source>.kernel

    what      a hash of: function, types of the arguments, values of the free variables (of a kernel that was made by
              another function), processor and its features, versions of Python, Numba and llvmlite
    source    a hash of the contents of all files of kernels.cpu that the function may depend on

So nothing can be stale: what has changed has another name. Files appear under their names at once and whole, so
processes need not wait for each other, and the first 32 bytes are a checksum of the rest, so a damaged file is noticed.
A file that is missing, damaged or cannot be written costs a compilation and nothing else.

Folders: `NUMBA_CACHE_DIR` alone, if it is set; otherwise `__pycache__` beside the function's file and then the user's
cache folder. Both are read, and the first that can be written is written to.
"""

import contextlib
import functools
import hashlib
import os
import pickle
import re
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import config
from numba.core import serialize as numba_serialize
from numba.core.compiler import CompileResult as NumbaCompileResult
from numba.misc.appdirs import AppDirs as NumbaAppDirs

CompileResult: Any = NumbaCompileResult
AppDirs: Any = NumbaAppDirs
dumps: Any = numba_serialize.dumps
_CHECKSUM = hashlib.sha256().digest_size


class Unnameable(Exception):
    """A value that cannot be recognised in another process."""


def keep_on_disk(dispatcher: Any) -> None:
    """Makes a compiled function look for its machine code on disk, and leave it there."""
    if hasattr(CompileResult, "_reduce") and hasattr(CompileResult, "_rebuild") and hasattr(dispatcher, "_cache"):
        dispatcher._cache = KernelCache(dispatcher)
        return
    with contextlib.suppress(RuntimeError):  # a Numba we do not know inside: its own cache, if it finds a folder
        dispatcher.enable_caching()


class KernelCache:
    """The cache of one function, with the methods that Numba's dispatchers call."""

    cache_path = None  # where: see `folders`; it may be several

    def __init__(self, dispatcher: Any) -> None:
        self._function = dispatcher.py_func

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """What Numba's compiler returned in some earlier process, or None."""
        target_context.refresh()
        name = self._name(signature, target_context.codegen())
        if name is None:
            return None
        for folder in folders(self._function):
            with contextlib.suppress(Exception):  # whatever is wrong with the file, compiling anew is the answer
                content = (folder / name).read_bytes()
                if hashlib.sha256(content[_CHECKSUM:]).digest() == content[:_CHECKSUM]:
                    return CompileResult._rebuild(target_context, *pickle.loads(content[_CHECKSUM:]))
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Writes it to the first folder that takes it, if any."""
        codegen = result.library.codegen
        for environment in result._find_referenced_environments():  # of kernels that have become a part of this one
            codegen.set_env(environment.env_name, environment)
        name = self._name(signature, codegen)
        if name is None or result.lifted or result.library.has_dynamic_globals:
            return
        payload = dumps(result._reduce())
        content = hashlib.sha256(payload).digest() + payload
        for folder in folders(self._function):
            if _write(folder, name, content):
                return

    def enable(self) -> None:
        """For Numba: always on."""

    def disable(self) -> None:
        """For Numba: always on."""

    def flush(self) -> None:
        """For Numba's `recompile`: forgets the machine code of this function, made from whatever source."""
        for folder in folders(self._function):
            _remove(folder.glob(f"{_stem(self._function)}-*.kernel"))

    def _name(self, signature: Any, codegen: Any) -> str | None:
        """The name of the file, or None if nothing could be found under it again."""
        given = str(signature)
        if " at 0x" in given:  # a function as an argument, which is named by its address
            return None
        try:
            function, source = _describe(self._function)
        except (Unnameable, OSError, LookupError, ValueError, RecursionError):
            return None
        what = _digest(function, given, codegen.magic_tuple(), *_surroundings())
        return f"{_stem(self._function)}-{what}.{_digest(source)}.kernel"


def folders(function: Any) -> list[Path]:
    """Where the machine code of a function may lie, in the order in which to look."""
    own = Path(function.__code__.co_filename).resolve().parent
    installation = f"kernels_{_digest(str(own))}"  # another installation may have another source
    settings: Any = config
    if settings.CACHE_DIR:
        return [Path(settings.CACHE_DIR, installation)]
    user = Path(AppDirs(appname="minigrad", appauthor=False).user_cache_dir, installation)
    return [own / "__pycache__", *([user] if user.is_absolute() else [])]


def writable_folder() -> str | None:
    """The folder in which the machine code of kernels.cpu ends up, or None if nothing can be written anywhere."""
    for folder in folders(keep_on_disk):
        if _write(folder, f"writable-{os.getpid()}.0.kernel", b""):
            _remove(folder.glob(f"writable-{os.getpid()}.*"))
            return str(folder)
    return None


@functools.cache
def _parts() -> dict[str, str]:
    """The source of each part of kernels.cpu: a module, or a subpackage with all its modules."""
    return {entry.name.removesuffix(".py"): "".join(_sources(entry)) for entry in files("kernels.cpu").iterdir()}


def _sources(entry: Any) -> Iterator[str]:
    if entry.name.endswith(".py"):
        yield f"# {entry.name}\n{entry.read_text(encoding='utf-8')}"
    elif entry.name != "__pycache__" and entry.is_dir():
        for inner in sorted(entry.iterdir(), key=lambda found: found.name):
            yield from _sources(inner)


@functools.cache
def source_stamp(part: str) -> str:
    """A hash of a part of kernels.cpu and of all that it may use: the parts whose names are words in its source.

    Contents and not times: the files of a wheel or a zip archive may all bear the same time. Raises KeyError if there
    is no source.
    """
    parts = _parts()
    needed: set[str] = set()
    new = {part}
    while new:
        needed |= new
        new = {word for name in new for word in re.findall(r"\w+", parts[name]) if parts.get(word)} - needed
    return _digest(*((name, parts[name]) for name in sorted(needed)))


def _source(function: types.FunctionType) -> tuple[Any, ...]:
    """What the machine code of a function depends on, the values of its free variables apart."""
    package, _, path = function.__module__.partition("kernels.cpu.")
    if package == "" and path:
        return source_stamp(path.split(".")[0]), function.__code__.co_firstlineno
    # Outside: what it uses is not known, so everything counts. (A function that was typed in has no file: OSError.)
    code = function.__code__
    return *map(source_stamp, sorted(_parts())), Path(code.co_filename).read_bytes(), code.co_firstlineno


def _surroundings() -> tuple[Any, ...]:
    """What machine code depends on, besides its source and the processor."""
    settings: Any = config
    versions = numba.__version__, llvmlite.__version__, sys.version, sysconfig.get_config_var("SOABI")
    return *versions, str(settings.OPT), settings.BOUNDSCHECK, settings.DEBUGINFO_DEFAULT


def _describe(value: Any) -> tuple[Any, Any]:
    """Two descriptions that are the same in every process: what the value is, and its source if it is a function."""
    value = getattr(value, "py_func", getattr(value, "_defn", value))  # what a kernel, or an intrinsic, was made of
    if isinstance(value, types.FunctionType):
        cells = [_describe(cell.cell_contents) for cell in value.__closure__ or ()]
        what = value.__module__, value.__qualname__, [what for what, _ in cells]
        return what, (_source(value), [source for _, source in cells])
    if isinstance(value, (tuple, list)):
        items = [_describe(item) for item in value]
        return (type(value).__name__, [what for what, _ in items]), [source for _, source in items]
    if isinstance(value, np.ndarray):
        return ("array", value.dtype.str, value.shape, value.tobytes()), None
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, np.generic, np.dtype)):
        return (type(value).__name__, repr(value)), None
    if isinstance(value, (type, types.ModuleType)):
        return ("named", getattr(value, "__module__", ""), value.__name__), None
    if isinstance(value, numba.types.Type):
        return ("type", str(value)), None
    raise Unnameable(value)


def _stem(function: Any) -> str:
    """The function's name, with nothing in it that a file system or a pattern could mind."""
    return "".join(letter for letter in function.__qualname__ if letter.isalnum() or letter == "_")[-60:]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:20]


def _write(folder: Path, name: str, content: bytes) -> bool:
    """Whether the file could be written. It takes the place of those that were made from older source."""
    temporary = folder / f"{name}.{os.urandom(8).hex()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, folder / name)
    except OSError:
        _remove([temporary])
        return False
    stem_and_what = name.split(".")[0]
    _remove(path for path in folder.glob(f"{stem_and_what}.*.kernel") if path.name != name)
    return True


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
