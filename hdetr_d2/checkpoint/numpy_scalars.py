"""Reads NumPy numbers in a checkpoint as Python numbers, without calling NumPy's constructors.

Losses and scores stored by training scripts often have these types. A pickle describes them by
names, a type code and bytes; the names are redirected to the functions here.
"""

import struct
from typing import Any

# NumPy's type code -> that of `struct`.
_CODES = {"f8": "d", "f4": "f", "f2": "e", "i8": "q", "i4": "i", "i2": "h", "i1": "b"}
_CODES |= {"u8": "Q", "u4": "I", "u2": "H", "u1": "B", "b1": "?"}


class _Type:
    """Stands for a `numpy.dtype`."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code = _CODES[code]
        self.order = "="

    def __setstate__(self, state: tuple) -> None:
        self.order = {"<": "<", ">": ">"}.get(state[1], "=")


def _number(kind: _Type, data: bytes) -> float:
    return struct.unpack(kind.order + kind.code, data)[0]


READERS: list[tuple[Any, str]] = [
    (_Type, "numpy.dtype"),
    (_number, "numpy.core.multiarray.scalar"),
    (_number, "numpy._core.multiarray.scalar"),
]
"""For `torch.serialization.safe_globals`."""
