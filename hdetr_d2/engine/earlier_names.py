"""Options of a saved config under the names that they have had since."""

from typing import Any

_POSTPROCESSING = ("num_select", "pick", "panoptic")


def renamed(config: dict[str, Any]) -> dict[str, Any]:
    """A saved config, plain and changed in place, whose model was written before matcher and
    post-processing were nodes of their own; one that is newer stays as it is.
    """
    model = config.get("model")
    if not isinstance(model, dict):
        return config
    criterion, matcher = model.get("criterion"), model.get("matcher")
    if isinstance(criterion, dict) and isinstance(matcher, dict):
        del model["matcher"]
        # That of the class loss is what a matcher takes now; another one is left, and refused.
        if matcher.get("class_cost") == "${model.criterion.class_loss}":
            del matcher["class_cost"]
        criterion["matcher"] = matcher
    if model.get("detector", "") is None:
        del model["detector"]
    moved = {key: model.pop(key) for key in _POSTPROCESSING if key in model}
    if moved:
        model["postprocessing"] = {"_target_": "hdetr_d2.modeling.PostProcessing", **moved}
    neck = model.get("neck", {})
    if neck.get("in_features") == "${model.backbone.out_features}":
        neck["in_features"] = None  # the same: all that the backbone gives
    return config
