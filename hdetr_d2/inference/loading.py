"""From a checkpoint alone to a model and what it needs to read images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from detectron2.config import instantiate
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from hdetr_d2.checkpoint import read_checkpoint
from hdetr_d2.checkpoint.weights import put_evaluated_weights
from hdetr_d2.engine.device import choose_device
from hdetr_d2.engine.earlier_names import renamed
from hdetr_d2.errors import UserError
from hdetr_d2.inference.trust import require_trusted
from hdetr_d2.modeling.backbone import without_pretrained


class Loaded(NamedTuple):
    """A model in evaluation mode, what reads and resizes the image of a Detectron2 data set entry
    for it, and its class names by class index.
    """

    model: nn.Module
    mapper: Callable[[dict], dict]
    class_names: tuple[str, ...]


def load_model(checkpoint: str | Path, device: str, trust: str | Sequence[str]) -> Loaded:
    """Rebuild a model that `train_net.py` saved, with the weights it was evaluated with. What the
    arguments are and what is raised: see `Predictor`.
    """
    content = read_checkpoint(checkpoint)
    metadata = content.get("metadata", {})
    if not {"config", "class_names"} <= metadata.keys():
        raise UserError(
            f"{checkpoint} says neither its config nor its classes: "
            "prediction needs a checkpoint that train_net.py wrote"
        )
    model_node, mapper_node = _nodes(metadata["config"], str(checkpoint), trust)
    try:
        with without_pretrained():
            model, mapper = instantiate(model_node), instantiate(mapper_node)
    except (TypeError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the model in {checkpoint} cannot be built here: {reason}") from error
    put_evaluated_weights(model, content, checkpoint)
    model = model.to(choose_device(device, option="device")).eval()
    return Loaded(model, mapper, tuple(metadata["class_names"]))


def _nodes(config: str, source: str, trust: str | Sequence[str]) -> list[Any]:
    """The nodes of model and input mapper, without interpolations, and safe to instantiate."""
    try:
        resolved = OmegaConf.create(renamed(yaml.safe_load(config)))
        nodes = [
            OmegaConf.to_container(
                OmegaConf.select(resolved, key, throw_on_missing=True), resolve=True
            )
            for key in ("model", "dataloader.test.mapper")
        ]
    except (yaml.YAMLError, OmegaConfBaseException, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the config in {source} cannot be read: {reason}") from error
    require_trusted(nodes, source, trust)
    return nodes
