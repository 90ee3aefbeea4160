"""Renames options of saved configs that have been renamed since."""

from typing import Any

_POSTPROCESSING = ("num_select", "pick", "panoptic")


def renamed(config: dict[str, Any]) -> dict[str, Any]:
    """Updates a saved config (plain, changed in place) from before matcher and post-processing were
    separate nodes; newer configs are left unchanged.
    """
    model = config.get("model")
    if not isinstance(model, dict):
        return config
    criterion, matcher = model.get("criterion"), model.get("matcher")
    if isinstance(criterion, dict) and isinstance(matcher, dict):
        del model["matcher"]
        # The cost of the class loss is now the default; any other one is kept, and refused.
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
