"""Simple copy-paste: objects of one image, cut out along their masks, put on another one."""

import torch
from torch import Tensor
from torchvision import tv_tensors

from hdetr_d2.data.bitmaps import any_of, areas, tight_boxes
from hdetr_d2.data.sample import Sample, select, together


class CopyPaste:
    """Pastes some objects of another image; what they hide is cut from masks and boxes beneath."""

    def __init__(self, *, p: float = 0.5, p_object: float = 0.5, min_visible: float = 0.1) -> None:
        """
        Args:
            p: how often anything is pasted.
            p_object: probability of each object of the other image to be pasted.
            min_visible: an object beneath stays if at least this share of its mask is still seen.
        """
        self.p = p
        self.p_object = p_object
        self.min_visible = min_visible

    def __call__(self, sample: Sample, other: Sample) -> Sample:
        """Paste from `other` onto `sample`, with their top left corners upon each other."""
        if float(torch.rand(())) >= self.p:
            return sample
        other = select(other, torch.rand(len(other["labels"])) < self.p_object)
        masks, pixels = _on_canvas(other, sample["image"].shape[-2:])
        covering, there = any_of(masks, 0), any_of(masks, 1, 2)  # [H, W], [n]
        hidden = self._hide(sample, covering)
        image = torch.where(covering, pixels, sample["image"].as_subclass(Tensor))
        seen = masks[there]
        pasted: Sample = {
            "boxes": tv_tensors.wrap(tight_boxes(seen), like=sample["boxes"]),
            "labels": other["labels"][there],
            "masks": tv_tensors.Mask(seen),
        }
        return together(image, [hidden, pasted])

    def _hide(self, sample: Sample, covering: Tensor) -> Sample:
        """Cut `covering` bool [H, W] out of the masks; only boxes of cut ones are drawn anew."""
        before = sample["masks"].as_subclass(Tensor)
        after = before & ~covering
        whole, left = areas(before), areas(after)
        visible = (left > 0) & (left >= self.min_visible * whole)
        cut = visible & (left < whole)
        boxes = sample["boxes"].as_subclass(Tensor).clone()
        boxes[cut] = tight_boxes(after[cut])
        changed: Sample = {
            **sample,
            "boxes": tv_tensors.wrap(boxes, like=sample["boxes"]),
            "masks": tv_tensors.Mask(after),
        }
        return select(changed, visible)


def _on_canvas(other: Sample, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Masks bool [n, H, W] and pixels [C, H, W] of `other`, cut or filled with 0 to `size`."""
    masks, image = other["masks"].as_subclass(Tensor), other["image"].as_subclass(Tensor)
    height, width = (min(a, b) for a, b in zip(size, image.shape[-2:], strict=True))
    canvas = masks.new_zeros((len(masks), *size))
    pixels = image.new_zeros((image.shape[0], *size))
    canvas[:, :height, :width] = masks[:, :height, :width]
    pixels[:, :height, :width] = image[:, :height, :width]
    return canvas, pixels
