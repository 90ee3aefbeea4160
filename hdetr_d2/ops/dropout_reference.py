"""Dropout in PyTorch's own operations, with the same random bits: the kernel's reference."""

import torch
from torch import Tensor

_CHUNK = 1024  # elements that share a key
_WORD = 0xFFFFFFFF


def dropout_reference(x: Tensor, p: float, seeds: Tensor) -> Tensor:
    """The same as `dropout`, with the same arguments, which are not checked.

    Runs on every device and with every floating dtype.
    """
    bits = _random_bits(x.numel() // len(seeds), seeds).view(x.shape)
    kept = (1 - p) or 1.0  # if everything is dropped, avoids a gradient of 0 / 0
    return torch.where(bits >= int(p * 2**32), x / kept, 0.0)


def _random_bits(count: int, seeds: Tensor) -> Tensor:
    """The 32 random bits of the first elements of each seed: `Tensor[N, count]` int64."""
    places = torch.arange(count, device=seeds.device)
    key = seeds[:, None] + (places // _CHUNK + 1) * _signed(0x9E3779B97F4A7C15)
    key = (key ^ _shift(key, 30)) * _signed(0xBF58476D1CE4E5B9)
    key = (key ^ _shift(key, 27)) * _signed(0x94D049BB133111EB)
    key = key ^ _shift(key, 31)
    bits = places % _CHUNK ^ key & _WORD
    bits = (bits ^ bits >> 16) * 0x7FEB352D & _WORD ^ _shift(key, 32)
    bits = (bits ^ bits >> 15) * 0x846CA68B & _WORD
    return bits ^ bits >> 16


def _signed(word: int) -> int:
    """The int64 with the bits of an unsigned 64-bit word."""
    return word - 2**64 if word >= 2**63 else word


def _shift(words: Tensor, by: int) -> Tensor:
    """Logical shift to the right."""
    return words >> by & (1 << 64 - by) - 1
