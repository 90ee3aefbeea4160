"""Simple copy-paste: objects of one image, cut out along their masks and pasted onto another
one.
"""

import torch
from torch import Tensor
from torchvision import tv_tensors

from hdetr_d2.data.bitmaps import any_of, areas, tight_boxes
from hdetr_d2.data.sample import Sample, select, together


class CopyPaste:
    """Pastes objects of another image; what they hide is removed from masks and boxes beneath."""

    def __init__(self, *, p: float = 0.5, p_object: float = 0.5, min_visible: float = 0.1) -> None:
        """
        Args:
            p: probability that anything is pasted.
            p_object: probability of pasting each object of the other image.
            min_visible: an object beneath is kept if at least this fraction of its mask is still
                visible.
        """
        self.p = p
        self.p_object = p_object
        self.min_visible = min_visible

    def __call__(self, sample: Sample, other: Sample) -> Sample:
        """Pastes from `other` onto `sample`, with their top left corners aligned."""
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
        """Removes `covering` bool [H, W] from the masks; boxes are recomputed only for masks that
        change.
        """
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
    """Masks bool [n, H, W] and pixels [C, H, W] of `other`, cropped or zero-padded to `size`."""
    masks, image = other["masks"].as_subclass(Tensor), other["image"].as_subclass(Tensor)
    height, width = (min(a, b) for a, b in zip(size, image.shape[-2:], strict=True))
    canvas = masks.new_zeros((len(masks), *size))
    pixels = image.new_zeros((image.shape[0], *size))
    canvas[:, :height, :width] = masks[:, :height, :width]
    pixels[:, :height, :width] = image[:, :height, :width]
    return canvas, pixels
