"""What the C library does with the memory that tensors give back."""

import ctypes
import sys

# Of <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_OF_HEAP = 2**30  # bytes of a tensor


def keep_freed_memory() -> bool:
    """Lets this process keep, for its next tensors, what tensors on the CPU give back.

    The GNU C library hands large pieces back to the system at once and asks for them again, cleared
    page by page, at the next tensor: a tenth of a training step. The process's largest size stays
    what it was; what it holds between two steps does not shrink.

    Returns:
        Whether this is a library that can be told so.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_OF_HEAP) and mallopt(_TRIM_THRESHOLD, -1))
