"""Average precision of the things for models of things and stuff."""

from collections.abc import Sequence

from hdetr_d2.evaluation.coco_evaluator import COCOEvaluator


class ThingsEvaluator(COCOEvaluator):
    """COCO metrics on a data set whose classes are the first ones of the model; detections of other
    classes, such as stuff, are left out.
    """

    def process(self, inputs: Sequence[dict], outputs: Sequence[dict]) -> None:
        """
        Args:
            inputs: dicts with `image_id`.
            outputs: dicts with "instances".
        """
        num_classes = len(self._metadata.thing_classes)
        found = [output["instances"] for output in outputs]
        kept = [{"instances": each[each.pred_classes < num_classes]} for each in found]
        super().process(inputs, kept)
