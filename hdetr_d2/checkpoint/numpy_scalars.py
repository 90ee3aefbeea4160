"""NumPy's numbers in a checkpoint, read as Python's without a call of NumPy's own constructors.

Losses and scores that a training script keeps are often of these types. What a pickle says about
them is names, a type code and bytes: the names lead here instead.
"""

import struct
from typing import Any

# NumPy's code of a type -> that of `struct`.
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
