"""A model and what it needs to read images, rebuilt from a checkpoint alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
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
from hdetr_d2.data.images import BadImageError
from hdetr_d2.engine.device import choose_device
from hdetr_d2.errors import UserError
from hdetr_d2.inference.trust import require_trusted
from hdetr_d2.modeling.backbone import without_pretrained
from hdetr_d2.visualization import Shapes


class Predictor:
    """Finds objects in image files."""

    def __init__(
        self, *, model: nn.Module, mapper: Callable[[dict], dict], class_names: Sequence[str]
    ) -> None:
        """
        Args:
            model: takes Detectron2's input dicts; is put into evaluation mode.
            mapper: reads and resizes the image of a Detectron2 data set entry.
            class_names: by class index.
        """
        self.model = model.eval()
        self.mapper = mapper
        self.class_names = tuple(class_names)

    @classmethod
    def from_checkpoint(
        cls, checkpoint: str | Path, device: str = "auto", trust: str | Sequence[str] = ()
    ) -> "Predictor":
        """Rebuild a model that `train_net.py` saved, with the weights it was evaluated with.

        The file is data: no code in it is run, and its config can only name parts of models, and
        classes of the packages in `trust`.

        Args:
            checkpoint: a .pth file that `train_net.py` wrote.
            device: "auto", "cpu", "cuda", "cuda:1", ...
            trust: packages of your own whose classes the model is made of, too; those of a file
                that came from elsewhere are whatever that file asks for.

        Raises:
            UserError: the file cannot be read, was not written by `train_net.py`, asks for what is
                no part of a model, or does not fit its own config; or the device is absent.
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
        return cls(
            model=model.to(choose_device(device, option="device")),
            mapper=mapper,
            class_names=metadata["class_names"],
        )

    def __call__(
        self, images: Iterable[Path], batch_size: int = 1
    ) -> Iterator[tuple[Path, Shapes | BadImageError]]:
        """Find the objects of each image, in order.

        Yields:
            The path, and its objects in pixels of the upright image, best first; or what is wrong
            with the file.
        """
        batch: list[tuple[Path, dict | BadImageError]] = []
        for path in images:
            batch.append((path, self._read(path)))
            if len(batch) == batch_size:
                yield from self._detect(batch)
                batch = []
        yield from self._detect(batch)

    def _read(self, path: Path) -> dict | BadImageError:
        try:
            return self.mapper({"file_name": str(path), "image_id": str(path)})
        except BadImageError as error:
            return error

    def _detect(
        self, batch: Sequence[tuple[Path, dict | BadImageError]]
    ) -> Iterator[tuple[Path, Shapes | BadImageError]]:
        inputs = [item for _, item in batch if not isinstance(item, BadImageError)]
        with torch.inference_mode():
            outputs = iter(self.model(inputs) if inputs else ())
        for path, item in batch:
            if isinstance(item, BadImageError):
                yield path, item
            else:
                yield path, shapes_of(next(outputs)["instances"])


def shapes_of(instances: Instances) -> Shapes:
    """What a detector returns, as something to draw, best first: a detector may keep the order of
    its queries.
    """
    instances = instances.to("cpu")
    instances = instances[instances.scores.argsort(descending=True, stable=True)]
    masks = instances.pred_masks if instances.has("pred_masks") else None
    boxes, scores = instances.pred_boxes.tensor, instances.scores
    return Shapes(boxes, instances.pred_classes, scores, masks)


def _nodes(config: str, source: str, trust: str | Sequence[str]) -> list[Any]:
    """The nodes of model and input mapper, without interpolations, and safe to instantiate."""
    try:
        resolved = OmegaConf.create(yaml.safe_load(config))
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
