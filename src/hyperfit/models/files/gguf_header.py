"""What a GGUF file says before its weights, walked through once: no count or length in it leads beyond its end.

The package gguf believes them: an array of 2**60 numbers in a file of a kilobyte keeps it busy until memory is full.
"""

import struct
from pathlib import Path
from typing import BinaryIO

VERSIONS = (2, 3)
"""That transformers reads."""
STRING, ARRAY = 8, 9
SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Kind of a number → bytes."""
LONGEST = 4096
"""Bytes of a string in an array: tokens are shorter, and merges are sought among all pieces of each."""
DIMENSIONS = 4
"""Most that llama.cpp knows."""


class Header:
    """A GGUF file that is read from its beginning. Everything raises ValueError at what cannot be."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """size: bytes of the file."""
        self.file, self.size, self.place = file, size, 0

    def read(self, count: int) -> bytes:
        """So many bytes."""
        if self.place + count > self.size:
            raise ValueError(f"what stands before byte {self.place} leads beyond the end")
        self.place += count
        return self.file.read(count)

    def number(self, kind: str) -> int:
        """A whole number, little-endian: I of 32 bits, Q of 64."""
        return int(struct.unpack(f"<{kind}", self.read(struct.calcsize(kind)))[0])

    def string(self, longest: int | None = None) -> bytes:
        """A string."""
        length = self.number("Q")
        if longest is not None and length > longest:
            raise ValueError(f"a string in an array has {length} bytes, more than {longest}")
        return self.read(length)

    def value(self, kind: int) -> None:
        """Go past a value."""
        if kind == STRING:
            self.string()
        elif kind == ARRAY:
            of, count = self.number("I"), self.number("Q")
            if of == STRING:
                for _ in range(count):
                    self.string(LONGEST)
            else:
                self.read(count * width(of))
        else:
            self.read(width(kind))

    def tensor(self) -> int:
        """Go past what is said of a tensor; the bytes that it takes."""
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        self.string()
        if (dimensions := self.number("I")) > DIMENSIONS:
            raise ValueError(f"a tensor has {dimensions} dimensions")
        elements = 1
        for _ in range(dimensions):
            elements *= self.number("Q")
        together, size = GGML_QUANT_SIZES[GGMLQuantizationType(self.number("I"))]
        self.number("Q")
        return elements * size // together


def width(kind: int) -> int:
    """Bytes of a kind of number. Raises ValueError for what is none: nobody writes arrays of arrays."""
    if kind not in SCALARS:
        raise ValueError(f"a value of kind {kind}")
    return SCALARS[kind]


def check_header(path: Path) -> None:
    """Raises ValueError for a file whose header cannot be, or whose tensors would take more than it has."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = Header(file, size)
        if header.read(4) != b"GGUF":
            raise ValueError("it does not begin as one")
        if (version := header.number("I")) not in VERSIONS:
            raise ValueError(f"version {version}; known are {', '.join(map(str, VERSIONS))}")
        tensors, values = header.number("Q"), header.number("Q")
        for _ in range(values):
            header.string()
            header.value(header.number("I"))
        takes = sum(header.tensor() for _ in range(tensors))
    if takes > size:
        raise ValueError(f"its tensors would take {takes} bytes, and the file has {size}")
