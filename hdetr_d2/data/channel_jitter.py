"""Brightness and contrast of images with any number of channels."""

from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2


class ChannelJitter(v2.Transform):
    """Multiplies each channel by a random factor and adds a random offset, clipped to 0 to 255."""

    _transformed_types = (tv_tensors.Image,)

    def __init__(self, gain: float = 0.2, offset: float = 0.05, p: float = 0.5) -> None:
        """
        Args:
            gain: factors range from 1 - gain to 1 + gain.
            offset: maximum offset, as a fraction of 255.
            p: probability.
        """
        super().__init__()
        self.gain = gain
        self.offset = offset
        self.p = p

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        number = next((i.shape[0] for i in flat_inputs if isinstance(i, tv_tensors.Image)), 0)
        if float(torch.rand(())) >= self.p:
            return {"factor": torch.ones(number, 1, 1), "added": torch.zeros(number, 1, 1)}
        factor, added = torch.rand(2, number, 1, 1) * 2 - 1
        return {"factor": 1 + self.gain * factor, "added": 255 * self.offset * added}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        pixels = inpt.as_subclass(torch.Tensor)
        changed = (pixels * params["factor"] + params["added"]).clamp(0, 255)
        rounded = changed if pixels.is_floating_point() else changed.round()
        return tv_tensors.Image(rounded.to(pixels.dtype))
