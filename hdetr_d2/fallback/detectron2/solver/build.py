"""Parameter groups for an optimizer."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from detectron2._subset import absent
from torch import nn

__all__ = ["get_default_optimizer_params"]

__getattr__ = absent(__name__)

_NORMS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.LocalResponseNorm,
)


def get_default_optimizer_params(
    model: nn.Module,
    base_lr: float | None = None,
    weight_decay: float | None = None,
    weight_decay_norm: float | None = None,
    bias_lr_factor: float | None = 1.0,
    weight_decay_bias: float | None = None,
    lr_factor_func: Callable[[str], float] | None = None,
    overrides: Mapping[str, Mapping[str, float]] | None = None,
) -> list[dict[str, Any]]:
    """The trainable parameters of `model`, in as few groups as their settings allow.

    Args:
        base_lr, weight_decay: for every parameter; left to the optimizer if None.
        weight_decay_norm: for the parameters of normalisation layers.
        bias_lr_factor, weight_decay_bias: for the parameters called "bias".
        lr_factor_func: a factor on the learning rate from the full name of a parameter.
        overrides: settings by the last part of a parameter's name; they go before all others.

    Raises:
        ValueError: a factor on the learning rate without `base_lr`, or two settings for "bias".
    """
    bias: dict[str, float] = {}
    if bias_lr_factor is not None and bias_lr_factor != 1.0:
        bias["lr"] = _required(base_lr, "bias_lr_factor") * bias_lr_factor
    if weight_decay_bias is not None:
        bias["weight_decay"] = weight_decay_bias
    by_name = dict(overrides or {})
    if bias and "bias" in by_name:
        raise ValueError("overrides has settings for 'bias', and so have the arguments")
    by_name = by_name | {"bias": bias} if bias else by_name

    groups: dict[tuple[tuple[str, float], ...], list[nn.Parameter]] = {}
    for module, name, parameter in _trainable(model):
        settings = {"lr": base_lr, "weight_decay": weight_decay}
        if isinstance(module, _NORMS) and weight_decay_norm is not None:
            settings["weight_decay"] = weight_decay_norm
        if lr_factor_func is not None:
            settings["lr"] = _required(base_lr, "lr_factor_func") * lr_factor_func(name)
        settings.update(by_name.get(name.rpartition(".")[2], {}))
        key = tuple((option, value) for option, value in settings.items() if value is not None)
        groups.setdefault(key, []).append(parameter)
    return [{**dict(key), "params": parameters} for key, parameters in groups.items()]


def _required(base_lr: float | None, option: str) -> float:
    if base_lr is None:
        raise ValueError(f"{option} needs base_lr")
    return base_lr


def _trainable(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Parameter]]:
    """Every trainable parameter once, with its module and its full name."""
    seen: set[nn.Parameter] = set()
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter not in seen:
                seen.add(parameter)
                yield module, f"{prefix}.{name}", parameter
