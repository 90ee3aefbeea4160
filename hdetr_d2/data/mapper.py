"""From an entry of a data set to the model's input."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import pycocotools.mask as mask_utils
import torch
from detectron2.structures import BitMasks, Boxes, BoxMode, Instances
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from hdetr_d2.data.bitmaps import any_of
from hdetr_d2.data.blending import Blend
from hdetr_d2.data.copy_paste import CopyPaste
from hdetr_d2.data.mosaic import OTHERS, Mosaic
from hdetr_d2.data.outline import outlined
from hdetr_d2.data.pixel_scale import check_pixel_scale
from hdetr_d2.data.rgb_alone import refuse_rgb_alone
from hdetr_d2.data.sample import Sample, select, visible
from hdetr_d2.data.teacher_results import TeacherResults
from hdetr_d2.data.transforms import RandomTile
from hdetr_d2.errors import UserError
from hdetr_d2.pixels.image_format import image_format
from hdetr_d2.pixels.images import check_size
from hdetr_d2.utils.device import on_host
from hdetr_d2.utils.random_state import seeded, stream_seed


def composed(augmentations: Sequence[v2.Transform], tile: int | None = None) -> v2.Compose:
    """The transforms of a mapper, applied in this order to an image (or a tile of it) with its
    objects; boxes are clipped to the result.
    """
    first = () if tile is None else (RandomTile(tile),)
    return v2.Compose([*first, *augmentations, v2.ClampBoundingBoxes()])


class DetrMapper:
    """Reads an image, augments it together with its objects, and returns Detectron2's input dict.

    Random numbers depend on (seed, position in the stream); the caller's random state is unchanged.
    """

    def __init__(
        self,
        *,
        augmentations: Sequence[v2.Transform] = (),
        is_train: bool = True,
        tile: int | None = None,
        with_masks: bool = False,
        copy_paste: CopyPaste | None = None,
        mosaic: Mosaic | None = None,
        blends: Sequence[Blend] | None = None,
        teacher: TeacherResults | None = None,
        seed: int = 0,
        pixel_range: int | None = None,
        channels: int | None = None,
        shown_channels: Sequence[int] | None = None,
    ) -> None:
        """
        Args:
            augmentations: applied in this order to image, boxes and masks.
            is_train: return `instances`; otherwise annotations are ignored.
            tile: side in pixels of the `RandomTile` that is cropped from each image before the
                augmentations; None takes the whole image.
            with_masks: also return `gt_masks`, for models that learn them.
            copy_paste: pastes objects of a second image. It needs masks to cut objects out, and
                large-scale jitter then computes boxes from the remaining masks; the masks are
                returned only with `with_masks`.
            mosaic: combines four images into one, before the augmentations.
            blends: blend something from a second, likewise augmented image into the augmented one;
                the first whose `when` applies is used.
            teacher: adds its detections on the images as "teacher": Instances with gt_boxes,
                gt_classes and scores. It has no masks.
            seed: of the augmentation.
            pixel_range: the white level of pixels with more than 8 bits, in all images.
            channels: of every image, as in the files; None for RGB with 8 bits.
            shown_channels: those shown in pictures; see `image_format`.

        Raises:
            UserError: the augmentations leave pixels on another scale than 0 to 255, or require RGB
                with 8 bits for other images.
            ValueError: a teacher together with masks, which it does not have.
        """
        if odd := [item for item in augmentations if not callable(item)]:
            raise ValueError(f"augmentations must be transforms, not {odd[0]!r}")
        self.augmentations = composed(augmentations, tile if is_train else None)
        self.is_train = is_train
        self.with_masks = with_masks
        self.reads_masks = with_masks or copy_paste is not None
        if teacher is not None and self.reads_masks:
            raise ValueError(
                "the boxes of a teacher have no masks: mapper.teacher goes without with_masks and "
                "copy_paste"
            )
        self.teacher = teacher
        self.copy_paste = copy_paste
        self.seed = seed
        self.image_format = image_format(channels, pixel_range, shown_channels)
        option = f"dataloader.{'train' if is_train else 'test'}.mapper"
        self._check(augmentations, f"{option}.augmentations")
        self.mosaic = mosaic
        self.after_mosaic = self.augmentations
        if mosaic is not None and mosaic.augmentations is not None:
            self._check(mosaic.augmentations, f"{option}.mosaic.augmentations")
            self.after_mosaic = composed(mosaic.augmentations)
        self.blends = tuple(blends or ())

    @property
    def asks_for_others(self) -> bool:
        """Whether it needs further images."""
        return self.copy_paste is not None or self.mosaic is not None or bool(self.blends)

    @on_host()
    def __call__(
        self, dataset_dict: dict, position: int = 0, others: Iterable[dict] = ()
    ) -> dict[str, object]:
        """Maps one entry.

        Args:
            dataset_dict: in Detectron2's form; height and width are checked if present. An entry
                with an "image", [H, W, C] as read by the `image_format`, needs no file.
            position: in the stream; determines the augmentation.
            others: entries of further images, for transforms that need them, which do nothing once
                none are left.

        Returns:
            The entry without its annotations, with "image": `Tensor[C, H, W]` in pixels of the
            `image_format`; "height" and "width" of the file; without is_train, "outline" (see
            `Outline`) if augmentations do more than resize; in training, "instances" with gt_boxes
            (xyxy in pixels of "image"), gt_classes [n] and, with_masks, gt_masks; and
            "dropped_boxes", the number of objects that were lost other than by a crop: boxes
            without an area, masks without a pixel, and objects that the augmentations make smaller
            than a pixel.

        Raises:
            BadImageError: the image cannot be read, or has another size than the data set states.
            UserError: an object has no segmentation although masks are needed; without is_train, an
                augmentation that cannot be undone.
        """
        sample, dropped = self._read(dataset_dict)
        height, width = sample["image"].shape[-2:]
        mapped = {k: v for k, v in dataset_dict.items() if k != "annotations"}
        mapped["height"], mapped["width"] = height, width
        if not self.is_train:
            return mapped | self._to_predict(sample["image"], position)
        others = iter(others)
        with seeded(stream_seed(self.seed, position)):
            augmented, lost = self._augment(sample, position, others)
            for mix in self._mixes(position):
                for entry in islice(others, 1):
                    other, _ = self._augment(self._read(entry)[0], position, others)
                    augmented = mix(augmented, other)
        mapped["image"] = augmented["image"].as_subclass(Tensor).contiguous()
        mapped["instances"] = _instances(augmented, with_masks=self.with_masks)
        if self.teacher is not None:
            mapped["teacher"] = _taught(augmented)
        mapped["dropped_boxes"] = dropped + lost
        return mapped

    def check_taught(self, entries: Sequence[dict]) -> None:
        """Logs how many of these images the teacher knows, if there is one.

        Raises:
            UserError: it knows none of them.
        """
        if self.is_train and self.teacher is not None:
            self.teacher.check_images([entry.get("image_id") for entry in entries])

    @on_host()
    def check_undoable(self, height: int, width: int) -> None:
        """Tries the augmentations on an image of this size.

        Raises:
            UserError: detections on the augmented image cannot be mapped back to the original one.
        """
        black = np.zeros((height, width, self.image_format.channels), self.image_format.dtype)
        self._to_predict(_as_tensor(black), 0)

    @on_host()
    def _check(self, transforms: Sequence[v2.Transform], option: str) -> None:
        refuse_rgb_alone(transforms, option, self.image_format)
        check_pixel_scale(
            transforms, option, with_masks=self.reads_masks, image_format=self.image_format
        )

    def _augment(self, sample: Sample, position: int, others: Iterator[dict]) -> tuple[Sample, int]:
        """The augmented image with the visible parts of its objects, or a mosaic that starts with
        it; and the number of lost objects.
        """
        if self.mosaic is None or not self.mosaic.when(position):
            return visible(self.augmentations(sample))
        more = [self._read(entry)[0] for entry in islice(others, OTHERS)]
        if len(more) < OTHERS:
            return visible(self.augmentations(sample))
        return visible(self.after_mosaic(self.mosaic([sample, *more])))

    def _mixes(self, position: int) -> Iterator[Callable[[Sample, Sample], Sample]]:
        """The blends that use a second image here."""
        if self.copy_paste is not None:
            yield self.copy_paste
        yield from islice((blend for blend in self.blends if blend.when(position)), 1)

    def _to_predict(self, image: tv_tensors.Image, position: int) -> dict[str, object]:
        with seeded(stream_seed(self.seed, position)):
            augmented, outline = outlined(self.augmentations, image)
        found: dict[str, object] = {"image": augmented.as_subclass(Tensor).contiguous()}
        return found if outline is None else found | {"outline": outline}

    def _read(self, dataset_dict: dict) -> tuple[Sample, int]:
        path = dataset_dict["file_name"]
        image = dataset_dict.get("image")
        image = self.image_format.read(path) if image is None else image
        height, width = image.shape[:2]
        if "width" in dataset_dict and "height" in dataset_dict:
            check_size(path, image, dataset_dict["width"], dataset_dict["height"])
        sample: Sample = {"image": _as_tensor(image)}
        annotations = dataset_dict.get("annotations", []) if self.is_train else []
        objects = [a for a in annotations if not a.get("iscrowd", 0)]
        corners = [BoxMode.convert(a["bbox"], a["bbox_mode"], BoxMode.XYXY_ABS) for a in objects]
        boxes = torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)
        boxes = boxes.clamp(torch.zeros(4), torch.tensor([width, height, width, height]))
        solid = (boxes[:, 2:] > boxes[:, :2]).all(1)
        objects = [a for a, keep in zip(objects, solid.tolist(), strict=True) if keep]
        labels = [a["category_id"] for a in objects]
        sample["boxes"] = tv_tensors.BoundingBoxes(
            boxes[solid], format="XYXY", canvas_size=(height, width)
        )
        sample["labels"] = torch.tensor(labels, dtype=torch.int64)
        if self.is_train and self.teacher is not None:
            sample["found"] = self.teacher.on(dataset_dict.get("image_id"), height, width)
        if self.reads_masks:
            masks = [_bitmap(a, height, width, dataset_dict) for a in objects]
            stacked = np.stack(masks) if masks else np.zeros((0, height, width), dtype=bool)
            sample["masks"] = tv_tensors.Mask(torch.from_numpy(stacked))
            sample = select(sample, any_of(torch.from_numpy(stacked), 1, 2))
        return sample, len(solid) - len(sample["labels"])


def _as_tensor(image: np.ndarray) -> tv_tensors.Image:
    """[H, W, C] to `Tensor[C, H, W]`."""
    return tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1))


def _bitmap(annotation: dict, height: int, width: int, dataset_dict: dict) -> np.ndarray:
    """The object's mask as bool [height, width]."""
    segmentation = annotation.get("segmentation")
    if not segmentation:
        raise UserError(
            f"{dataset_dict['file_name']} (image {dataset_dict.get('image_id')}) has an object "
            "without a segmentation, but masks are asked for"
        )
    if isinstance(segmentation, list):
        segmentation = mask_utils.merge(mask_utils.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        segmentation = mask_utils.frPyObjects(segmentation, height, width)
    return mask_utils.decode(segmentation).astype(bool)


def _instances(sample: Sample, *, with_masks: bool) -> Instances:
    instances = Instances(tuple(sample["image"].shape[-2:]))
    instances.gt_boxes = Boxes(sample["boxes"].as_subclass(Tensor))
    instances.gt_classes = sample["labels"]
    if with_masks:
        instances.gt_masks = BitMasks(sample["masks"].as_subclass(Tensor))
    return instances


def _taught(sample: Sample) -> Instances:
    instances, found = Instances(tuple(sample["image"].shape[-2:])), sample["found"]
    instances.gt_boxes = Boxes(found["boxes"].as_subclass(Tensor))
    instances.gt_classes = found["labels"]
    instances.scores = found["scores"]
    return instances
