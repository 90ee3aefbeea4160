"""Makes evaluators use run-length encoded masks, without bitmaps of the image's size."""

from collections.abc import Iterator, Mapping, Sequence

from detectron2.structures import Instances

from hdetr_d2.structures import ScaledMasks

MASKS = "pred_masks"


class TakesRunLengths:
    """A mixin to list before one of Detectron2's COCO or LVIS evaluators, whose `process` encodes
    every mask.
    """

    _predictions: list

    def process(self, inputs: Sequence[dict], outputs: Sequence[dict]) -> None:
        """
        Args:
            inputs: dicts with `image_id`.
            outputs: dicts with "instances", whose `pred_masks`, if any, may be `ScaledMasks`.
        """
        for given, output in zip(inputs, outputs, strict=True):
            found, masks = _apart(output)
            super().process([given], [{**output, **found}])  # type: ignore[misc]
            if masks is not None:
                for result, rle in zip(self._last_results(), masks.rles(), strict=True):
                    result["segmentation"] = rle

    def _last_results(self) -> Iterator[dict]:
        """The results of the last image, as stored by Detectron2 or its stand-in."""
        last = self._predictions[-1]
        yield from last["instances"] if isinstance(last, dict) else last


def _apart(output: Mapping) -> tuple[dict, ScaledMasks | None]:
    """The instances without masks, and the masks, if these are `ScaledMasks`."""
    found = output.get("instances")
    if found is None or not found.has(MASKS) or not isinstance(found.get(MASKS), ScaledMasks):
        return {}, None
    fields = found.get_fields()
    others = {name: value for name, value in fields.items() if name != MASKS}
    return {"instances": Instances(found.image_size, **others)}, fields[MASKS]
