"""Rebuilds a model and its input pipeline from a checkpoint alone."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import yaml
from detectron2.config import instantiate
from detectron2.structures import Instances
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from hdetr_d2.checkpoint import read_checkpoint
from hdetr_d2.checkpoint.weights import put_evaluated_weights
from hdetr_d2.engine.device import Precision, choose_device
from hdetr_d2.engine.earlier_names import renamed
from hdetr_d2.errors import UserError
from hdetr_d2.inference.trust import require_trusted
from hdetr_d2.modeling import DETR
from hdetr_d2.modeling.backbone import without_pretrained
from hdetr_d2.pixels import EIGHT_BITS, ImageFormat
from hdetr_d2.runtime.shapes import Shapes
from hdetr_d2.utils.forks import let_forks_run


class TrainedDetector:
    """A checkpoint's model in evaluation mode, with the mapper that reads and resizes the images of
    data set entries for it.

    class_names: by class index. origin: path of the checkpoint, if the model comes from one.
    metadata: metadata of the checkpoint; see `Checkpointer`. autocast: returns the context manager
    of a forward pass.
    """

    def __init__(
        self,
        model: nn.Module,
        mapper: Callable[[dict], dict],
        class_names: tuple[str, ...],
        origin: Path | None = None,
        metadata: Mapping[str, Any] = MappingProxyType({}),
        autocast: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        self.model = model
        self.mapper = mapper
        self.class_names = class_names
        self.origin = origin
        self.metadata = metadata
        self.autocast = autocast

    @property
    def image_format(self) -> ImageFormat:
        """The image format of the mapper; RGB if it has none."""
        return getattr(self.mapper, "image_format", EIGHT_BITS)

    def read(self, entry: dict) -> dict:
        """See `Detector`."""
        return self.mapper(entry)

    def find(self, batch: Sequence[dict]) -> list[Shapes]:
        """See `Detector`."""
        with torch.inference_mode(), self.autocast():
            return [shapes_of(output["instances"]) for output in self.model(batch)]


def open_checkpoint(
    checkpoint: str | Path,
    device: str = "auto",
    trust: str | Sequence[str] = (),
    threads: int | None = None,
    precision: str = "float32",
) -> TrainedDetector:
    """Rebuilds a model saved by `train_net.py`, with the weights used in its evaluation. For
    arguments and exceptions see `Predictor` and `open_detector`.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    let_forks_run()
    place = choose_device(device, option="device")
    forward = Precision.of(precision, place, option="precision")
    content = read_checkpoint(checkpoint)
    metadata = content.get("metadata", {})
    if not {"config", "class_names"} <= metadata.keys():
        raise UserError(
            f"{checkpoint} contains neither its config nor its classes: "
            "prediction needs a checkpoint that train_net.py wrote"
        )
    model_node, mapper_node = _nodes(metadata["config"], str(checkpoint), trust)
    try:
        with without_pretrained():
            model, mapper = instantiate(model_node), instantiate(mapper_node)
    except UserError:
        raise
    except Exception as error:  # parts may receive any value, and raise their own errors
        reason = " ".join(str(error).split())
        raise UserError(f"the model in {checkpoint} cannot be built here: {reason}") from error
    if not isinstance(model, nn.Module) or not callable(mapper):
        raise UserError(f"the config in {checkpoint} describes no model and mapper of its input")
    put_evaluated_weights(model, content, checkpoint)
    model = model.to(place).eval()
    if isinstance(model, DETR):
        model.fold_norms(forward.dtype or torch.float32)
    names = tuple(metadata["class_names"])
    if len(names) != getattr(model, "num_classes", len(names)):
        raise UserError(
            f"{checkpoint} names {len(names)} classes, and its model has {model.num_classes}"
        )
    autocast = forward.autocast if forward.dtype else nullcontext
    return TrainedDetector(model, mapper, names, Path(checkpoint), metadata, autocast)


def _nodes(config: str, source: str, trust: str | Sequence[str]) -> list[Any]:
    """The config nodes of model and input mapper, without interpolations, and safe to
    instantiate.
    """
    try:
        plain = yaml.safe_load(config)
        if not isinstance(plain, dict):
            raise ValueError("it has no options")
        resolved = OmegaConf.create(renamed(plain))
        nodes = [
            OmegaConf.to_container(
                OmegaConf.select(resolved, key, throw_on_missing=True), resolve=True
            )
            for key in ("model", "dataloader.test.mapper")
        ]
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the config in {source} cannot be read: {reason}") from error
    require_trusted(nodes, source, trust)
    return nodes


def shapes_of(instances: Instances) -> Shapes:
    """A detector's outputs as shapes, best first: the detector may return them in query order."""
    instances = instances.to("cpu")
    instances = instances[instances.scores.argsort(descending=True, stable=True)]
    masks = instances.pred_masks if instances.has("pred_masks") else None
    boxes, classes = instances.pred_boxes.tensor.numpy(), instances.pred_classes.numpy()
    return Shapes(boxes, classes, instances.scores.numpy(), masks)
