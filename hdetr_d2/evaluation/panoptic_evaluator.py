"""Panoptic quality of a model on a registered panoptic data set."""

import logging
from collections.abc import Sequence

import numpy as np
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from hdetr_d2.data.panoptic import segment_ids
from hdetr_d2.errors import UserError
from hdetr_d2.evaluation.panoptic_quality import count_segments, qualities

logger = logging.getLogger(__name__)


class PanopticEvaluator(DatasetEvaluator):
    """PQ, SQ and RQ in percent over all classes, things ("_th") and stuff ("_st"), equal to those
    of Detectron2's COCOPanopticEvaluator; panopticapi is not needed, and no files are written.
    """

    def __init__(self, dataset_name: str) -> None:
        """
        Args:
            dataset_name: name of a data set whose metadata distinguish things from stuff.

        Raises:
            UserError: the data set is not panoptic.
        """
        metadata = MetadataCatalog.get(dataset_name)
        if metadata.get("stuff_dataset_id_to_contiguous_id") is None:
            raise UserError(
                f"{dataset_name!r} is not a panoptic data set: its metadata has no stuff"
            )
        self._things = sorted(metadata.thing_dataset_id_to_contiguous_id.values())
        self._stuff = sorted(metadata.stuff_dataset_id_to_contiguous_id.values())
        self.reset()

    def reset(self) -> None:
        self._counts = np.zeros((max(self._things + self._stuff) + 1, 4))
        self._images = 0

    def process(self, inputs: Sequence[dict], outputs: Sequence[dict]) -> None:
        """
        Args:
            inputs: dicts with `pan_seg_file_name` and `segments_info`.
            outputs: dicts with "panoptic_seg".
        """
        for item, output in zip(inputs, outputs, strict=True):
            ids, segments = output["panoptic_seg"]
            truth = segment_ids(item).pixels
            given = (truth, item["segments_info"], ids.cpu().numpy(), segments)
            self._counts += count_segments(*given, len(self._counts))
            self._images += 1

    def evaluate(self) -> dict[str, dict[str, float]]:
        """Returns `{"panoptic_seg": {"PQ": ..., "SQ_th": ...}}`; {} in processes other than the
        first, and if no image was processed.
        """
        gathered = comm.gather((self._counts, self._images), dst=0)
        if not comm.is_main_process() or not sum(images for _, images in gathered):
            return {}
        counts = sum(counts for counts, _ in gathered)
        parts = {"": self._things + self._stuff, "_th": self._things, "_st": self._stuff}
        return {
            "panoptic_seg": {
                f"{name}{end}": value
                for end, classes in parts.items()
                for name, value in qualities(counts[classes]).items()
            }
        }
