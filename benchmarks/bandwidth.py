"""The bandwidths of a CUDA device."""

from dataclasses import dataclass

import torch
from timing import CudaClock, Effort, Side, compare


@dataclass(frozen=True)
class Limits:
    """Bytes per second, from the L2 cache and from memory, and the source of the figures."""

    l2: float
    dram: float
    source: str

    def __str__(self) -> str:
        l2, dram = self.l2 / 1e12, self.dram / 1e12
        return f"Limits: L2 {l2:.2f} TB/s, memory {dram:.2f} TB/s, {self.source}."


# By a part of the device's name. Memory: data sheets (SXM modules); L2: reads, from published
# measurements.
KNOWN = {
    "H100 80GB HBM3": Limits(5.5e12, 3.35e12, "known of this device"),
    "H200": Limits(5.5e12, 4.8e12, "known of this device"),
}


def device_limits() -> Limits:
    """From the table, or measured by a copy."""
    name = torch.cuda.get_device_name()
    for part, limits in KNOWN.items():
        if part in name:
            return limits
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    return Limits(_copy_rate(cache // 4), _copy_rate(1 << 30), "measured by a copy")


def _copy_rate(size: int) -> float:
    """Bytes read and written per second when this many bytes are copied repeatedly."""
    source = torch.zeros(size, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    sides: dict[str, Side] = {"copy": lambda: target.copy_(source)}
    times = compare(sides, CudaClock(), Effort(rounds=5, loop_seconds=0.02))
    return 2 * size / times["copy"].warm
