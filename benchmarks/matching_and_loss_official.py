"""Matching and losses of a step with the code of H-DETR's authors."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matching_and_loss_cases import CLASSES, PROPOSALS, WEIGHTS
from matching_and_loss_layers import Layers, leaves_of
from matching_and_loss_sides import Contender
from official import open_checkout
from torch import Tensor

from hdetr_d2.structures import GroupOutput


def load_official(checkout: Path) -> Callable[[Sequence[GroupOutput]], Contender]:
    """The matcher and the criterion of a checkout.

    Raises:
        ImportError: they do not exist.
    """
    # The criterion's file also imports the model's, which have requirements of their own.
    open_checkout(checkout, ("models.backbone", "models.deformable_transformer"))
    from models.deformable_detr import SetCriterion
    from models.matcher import HungarianMatcher

    matcher = HungarianMatcher(*(WEIGHTS[kind] for kind in ("class", "bbox", "giou")))
    criterion = SetCriterion(CLASSES, matcher, {}, ["labels", "boxes", "cardinality"])
    return lambda outputs: _official(criterion, outputs)


def _official(criterion: Callable[..., dict], outputs: Sequence[GroupOutput]) -> Contender:
    """The criterion is called once per group of the decoder, with the proposals in the first call,
    as in its training loop.
    """
    *groups, proposals = (Layers.of(output) for output in outputs)
    assert proposals.name == PROPOSALS
    inputs = [_as_dict(group) for group in groups]
    inputs[0]["enc_outputs"] = _as_dict(proposals)
    names = _official_names([*groups, proposals])

    def losses() -> dict[str, Tensor]:
        found = {}
        for group, predictions in zip(groups, inputs, strict=True):
            answer = criterion(predictions, group.repeated_targets())
            found |= {f"{name}{group.group_suffix()}": loss for name, loss in answer.items()}
        return {name: weight * found[theirs] for theirs, (name, weight) in names.items()}

    return Contender(losses, leaves_of([*groups, proposals]))


def _as_dict(group: Layers) -> dict:
    layers = [{"pred_logits": logits, "pred_boxes": boxes} for logits, boxes in group.predictions]
    return {**layers[-1], "aux_outputs": layers[:-1]}


def _official_names(groups: Sequence[Layers]) -> dict[str, tuple[str, float]]:
    """Maps the official name of each loss, which begins with the layer, to ours and its weight."""
    return {
        f"loss_{theirs}{layer}{group.group_suffix()}": (
            f"loss_{kind}{group.group_suffix()}{layer}",
            WEIGHTS[kind],
        )
        for group in groups
        for layer in group.suffixes()
        for kind, theirs in (("class", "ce"), ("bbox", "bbox"), ("giou", "giou"))
    }
