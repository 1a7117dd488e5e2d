"""Binary heaps of (key, value) in a row of a record array; ties leave by the smaller value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.simulation.kernels.compiled import kernel

if TYPE_CHECKING:
    from planner.simulation.layout import RecordArray


@kernel
def _less(heap: RecordArray, row: int, i: int, j: int) -> bool:
    if heap[row, i].key != heap[row, j].key:
        return bool(heap[row, i].key < heap[row, j].key)
    return bool(heap[row, i].value < heap[row, j].value)


@kernel
def _swap(heap: RecordArray, row: int, i: int, j: int) -> None:
    key, value = heap[row, i].key, heap[row, i].value
    heap[row, i].key, heap[row, i].value = heap[row, j].key, heap[row, j].value
    heap[row, j].key, heap[row, j].value = key, value


@kernel
def _rise(heap: RecordArray, row: int, i: int) -> None:
    while i > 0:
        parent = (i - 1) >> 1
        if not _less(heap, row, i, parent):
            return
        _swap(heap, row, i, parent)
        i = parent


@kernel
def _sink(heap: RecordArray, row: int, i: int, size: int) -> None:
    while True:
        child = 2 * i + 1
        if child >= size:
            return
        if child + 1 < size and _less(heap, row, child + 1, child):
            child += 1
        if not _less(heap, row, child, i):
            return
        _swap(heap, row, i, child)
        i = child


@kernel
def push(heap: RecordArray, row: int, size: int, key: float, value: int) -> int:
    """Add an entry to a heap of `size` entries; return the new size."""
    heap[row, size].key, heap[row, size].value = key, value
    _rise(heap, row, size)
    return size + 1


@kernel
def pop(heap: RecordArray, row: int, size: int) -> int:
    """Remove the first entry (read it before at index 0); return the new size."""
    size -= 1
    heap[row, 0].key, heap[row, 0].value = heap[row, size].key, heap[row, size].value
    _sink(heap, row, 0, size)
    return size


@kernel
def remove(heap: RecordArray, row: int, size: int, value: int) -> int:
    """Remove the entry with `value`, found by looking through all; return the new size."""
    for i in range(size):
        if heap[row, i].value == value:
            size -= 1
            heap[row, i].key, heap[row, i].value = heap[row, size].key, heap[row, size].value
            if i < size:
                _rise(heap, row, i)
                _sink(heap, row, i, size)
            return size
    return size
