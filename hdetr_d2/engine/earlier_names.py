"""Handles options of saved configs that have since been renamed."""

from typing import Any

_POSTPROCESSING = ("num_select", "pick", "panoptic")


def renamed(config: dict[str, Any]) -> dict[str, Any]:
    """Updates a saved config (plain, changed in place) that predates separate nodes for matcher and
    post-processing; newer configs are left unchanged.
    """
    model = config.get("model")
    if not isinstance(model, dict):
        return config
    criterion, matcher = model.get("criterion"), model.get("matcher")
    if isinstance(criterion, dict) and isinstance(matcher, dict):
        del model["matcher"]
        # The cost of the class loss is the default now; any other value is kept, and rejected
        # later.
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
        neck["in_features"] = None  # equivalent: all features of the backbone
    return config
