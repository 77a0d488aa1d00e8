"""Memory as a kernel sees it: arrays that check every index, tell who touches what, and answer replayed reads."""

from __future__ import annotations

import operator
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from lessons.lab.cuda import faults
from lessons.lab.cuda.record import ATOMIC, READ, WRITE, Access, Place, Site

if TYPE_CHECKING:
    from lessons.lab.cuda.executor import Execution


class DeviceArray:
    """An array on the device, as `to_device` and `device_array` return it; `copy_to_host` brings it back."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape, self.dtype, self.size, self.ndim = array.shape, array.dtype, array.size, array.ndim

    def copy_to_host(self) -> np.ndarray:
        return self.array.copy()

    def __len__(self) -> int:
        return len(self.array)


def to_device(array: np.ndarray) -> DeviceArray:
    """A copy on the device."""
    return DeviceArray(np.array(array))


def device_array(shape: Any, dtype: Any = np.float64) -> DeviceArray:
    """New memory, which holds whatever was there before: NaN, where the dtype has one."""
    return DeviceArray(garbage(shape, dtype))


def device_array_like(array: Any) -> DeviceArray:
    return device_array(array.shape, array.dtype)


def garbage(shape: Any, dtype: Any) -> np.ndarray:
    array = np.empty(shape, dtype)
    array.fill(np.nan if array.dtype.kind in "fc" else 85)
    return array


class Memory:
    """One array during one launch, or during one block when it is shared.

    Reading and writing is what a simulation spends its time on, so the code here is plain rather than short: what has
    happened before is answered at once, and whoever touches an element alone goes through few instructions.
    """

    __slots__ = ("_array", "_execution", "_shared", "_strides", "_watch", "dtype", "ndim", "place", "shape", "size")

    def __init__(self, array: np.ndarray, place: Place, execution: Execution) -> None:
        self._array, self.place, self._execution = array, place, execution
        self._watch = faults.Watch(array.size)
        self._shared = place.space == "shared"
        self._strides = array.strides
        self.shape, self.dtype, self.size, self.ndim = array.shape, array.dtype, array.size, array.ndim

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, index: Any) -> Any:
        now = self._execution
        log = now.log
        now.access = access = now.access + 1
        if access <= len(log):
            return log[access - 1]
        value = self._array[self._touched(index, READ)]
        log.append(value)
        return value

    def __setitem__(self, index: Any, value: Any) -> None:
        now = self._execution
        now.access = access = now.access + 1
        if access > len(now.log):
            self._array[self._touched(index, WRITE)] = value
            now.log.append(None)

    def add(self, index: Any, value: Any) -> Any:
        """What cuda.atomic.add does; the old value."""
        now = self._execution
        now.access = access = now.access + 1
        if access <= len(now.log):
            return now.log[access - 1]
        at = self._touched(index, ATOMIC, depth=3)
        old = self._array[at]
        self._array[at] += value
        now.log.append(old)
        return old

    def _touched(self, index: Any, kind: int, depth: int = 2) -> Any:
        """Note who touches which element, and return its index; reports whatever is wrong with it."""
        now = self._execution
        frame = sys._getframe(depth)
        code, offset = frame.f_code, frame.f_lasti
        site = now.sites.get((id(code), offset)) or now.site(code, offset, frame.f_lineno)
        shape = self.shape
        given = index if type(index) is tuple else (index,)
        if len(given) != len(shape):
            raise TypeError(f"{self._named(given)}: {self.place.name} has {self.ndim} dimensions, of sizes {shape}")
        element = address = 0
        for i, size, stride in zip(given, shape, self._strides):  # noqa: B905  # their lengths are equal
            if type(i) is not int:
                i = self._integer(i, given)
            if not 0 <= i < size:
                raise self._out_of_bounds(given, kind, site)
            element = element * size + i
            address += i * stride
        touch = (now.epoch, now.thread, now.block, kind, site)
        earlier = self._watch.conflict(element, touch)
        if earlier is not None:
            now.report(faults.race(now.launch, self.place, element, earlier, touch), site)
        elif self._shared and kind == READ and self._watch.writer(element) is None:
            now.unwritten(self, element, site)
        if now.keeps:
            now.launch.accesses.append(
                _new(Access, (now.block, now.thread, self.place.name, kind, element, address, site, now.interval))
            )
        return index

    def _integer(self, i: Any, given: tuple[Any, ...]) -> int:
        try:
            return operator.index(i)
        except TypeError:
            said = f"{self._named(given)}: a kernel reads and writes single elements, by integers"
            raise TypeError(said) from None

    def _named(self, given: tuple[Any, ...]) -> str:
        return f"{self.place.name}[{', '.join(map(str, given))}]"

    def _out_of_bounds(self, given: tuple[Any, ...], kind: int, site: Site) -> faults.OutOfBounds:
        now = self._execution
        verb = "reads" if kind == READ else "writes"
        return faults.OutOfBounds(
            f"{self._named(given)} does not exist, {self.place.name} has shape {self.shape}: "
            f"{now.launch.name_of(now.thread, now.block)} {verb} there ({site.text}). Which threads have nothing to "
            "do, and does an `if` stop exactly those?"
        )

    def writer(self, element: int) -> int | None:
        """The thread that last wrote an element, or None."""
        return self._watch.writer(element)

    def uninitialised(self, element: int, thread: int, site: Site) -> faults.Uninitialised:
        return faults.Uninitialised(
            f"{self.place.element(element)} is read by {self._execution.launch.name_of(thread)} ({site.text}), but "
            "nothing was written there: shared memory begins with whatever was there before"
        )


_new = tuple.__new__  # a named tuple's own constructor takes twice as long
