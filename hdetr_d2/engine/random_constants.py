"""Random weights that a training would never change."""

from torch import nn

from hdetr_d2.errors import UserError


def refuse_random_constants(model: nn.Module) -> None:
    """For models without loaded weights: rejects a backbone whose constants are random.

    Norms without statistics show that it is untrained. Detectron2's backbones load no weights by
    themselves; in others, frozen parameters may be pretrained.

    Raises:
        UserError: the backbone has such norms, or is Detectron2's and has frozen parameters.
    """
    backbone = getattr(model, "backbone", nn.Identity())
    kept = [name for name, module in backbone.named_modules() if _is_empty_norm(module)]
    if type(backbone).__module__.startswith("detectron2."):
        kept += [name for name, value in backbone.named_parameters() if not value.requires_grad]
    if kept:
        raise UserError(
            f"model.backbone ({type(backbone).__name__}) would keep {len(kept)} random constants "
            f"({kept[0]}, ...): set train.init_checkpoint to its weights, as R-50.pkl, or freeze "
            "nothing (freeze_at=0 and norm=BN or GN)"
        )


def _is_empty_norm(module: nn.Module) -> bool:
    """Whether the module is a constant norm with untrained statistics."""
    constants = dict(module.named_buffers(recurse=False))
    if not constants.keys() >= {"weight", "bias", "running_mean", "running_var"}:
        return False
    plain = constants["weight"].eq(1).all() and constants["bias"].eq(0).all()
    return bool(plain and constants["running_mean"].eq(0).all())
