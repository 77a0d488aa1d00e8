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
    """One array during one launch, or during one block when it is shared."""

    def __init__(self, array: np.ndarray, place: Place, execution: Execution) -> None:
        self._array, self._place, self._execution = array, place, execution
        self._watch = faults.Watch()
        self.shape, self.dtype, self.size, self.ndim = array.shape, array.dtype, array.size, array.ndim

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, index: Any) -> Any:
        now = self._execution
        if now.replays():
            return now.replayed()
        at = self._checked(index, READ)
        return now.happened(self._array[at])

    def __setitem__(self, index: Any, value: Any) -> None:
        now = self._execution
        if now.replays():
            now.replayed()
            return
        at = self._checked(index, WRITE)
        self._array[at] = now.happened(value)

    def add(self, index: Any, value: Any) -> Any:
        """What cuda.atomic.add does; the old value."""
        now = self._execution
        if now.replays():
            return now.replayed()
        at = self._checked(index, ATOMIC, depth=3)
        old = self._array[at]
        self._array[at] += value
        return now.happened(old)

    def _checked(self, index: Any, kind: int, depth: int = 2) -> tuple[int, ...]:
        now, place = self._execution, self._place
        frame = sys._getframe(depth)
        site = now.site(frame.f_code, frame.f_lasti, frame.f_lineno)
        given = index if isinstance(index, tuple) else (index,)
        try:
            at = tuple(operator.index(i) for i in given)
        except TypeError:
            raise TypeError(f"{place.name}[{index}]: a kernel reads and writes single elements, by integers") from None
        shown = ", ".join(map(str, at))
        if len(at) != len(self.shape):
            raise TypeError(f"{place.name}[{shown}]: {place.name} has {self.ndim} dimensions, of sizes {self.shape}")
        element = address = 0
        for i, size, stride in zip(at, self.shape, self._array.strides, strict=True):
            if not 0 <= i < size:
                verb = "reads" if kind == READ else "writes"
                raise faults.OutOfBounds(
                    f"{place.name}[{shown}] does not exist, {place.name} has shape {self.shape}: "
                    f"{now.launch.name_of(now.thread, now.block)} {verb} there ({site.text}). Which threads have "
                    "nothing to do, and does an `if` stop exactly those?"
                )
            element = element * size + i
            address += i * stride
        if kind == READ and place.space == "shared" and not self._watch.written(element):
            now.report(
                faults.Uninitialised(
                    f"{place.element(element)} is read by {now.launch.name_of(now.thread)} ({site.text}), but nothing "
                    "was written there: shared memory begins with whatever was there before"
                )
            )
        touch = faults.Touch(now.block, now.thread, now.interval, kind, site)
        earlier = self._watch.conflict(element, touch)
        if earlier is not None:
            now.report(faults.race(now.launch, place, element, earlier, touch))
        if now.keeps:
            now.launch.accesses.append(
                Access(now.block, now.thread, place.name, kind, element, address, site, now.interval)
            )
        return at


def site_of(depth: int, execution: Execution) -> Site:
    frame = sys._getframe(depth + 1)
    return execution.site(frame.f_code, frame.f_lasti, frame.f_lineno)
