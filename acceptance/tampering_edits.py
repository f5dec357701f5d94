"""Small deeds that cases are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from acceptance.tampering_base import LENGTH
from acceptance.tampering_bench import Bench
from acceptance.tampering_views import Case

Change = Callable[[Bench], None]


def beside(name: str, file: str, data: bytes | None) -> Case:
    return Case(name, putting(file, data), intact=LENGTH, advisory=True)


def putting(file: str, data: bytes | None) -> Change:
    return lambda bench: bench.put(file, data)


def poking(offset: int, data: bytes) -> Change:
    return lambda bench: bench.poke(offset, data)


def swapping(folder: str, other: Path) -> Change:
    return lambda bench: bench.swap(folder, other)


def every_bit(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Every bit of it, and its name."""
    for offset in range(len(data)):
        for bit in range(8):
            yield f"bit {bit} of byte {offset}", flip(data, offset, bit)


def flip(data: bytes, offset: int, bit: int) -> bytes:
    return data[:offset] + bytes((data[offset] ^ 1 << bit,)) + data[offset + 1 :]


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
