"""What a saved config says about a model and its training, as text."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hdetr_d2.engine.earlier_names import renamed
from hdetr_d2.modeling.backbone.pretrained import OFFLINE

Fact = tuple[str, str]
"""A label and a text."""


class Facts:
    """
    Args:
        config: as YAML, one from which a predictor was built.
    """

    def __init__(self, config: str) -> None:
        self._config = OmegaConf.create(renamed(yaml.safe_load(config)))

    def architecture(self) -> list[Fact]:
        return _known(
            ("model", self._class("model")),
            ("backbone", self._get("model.backbone.name") or self._class("model.backbone")),
            ("encoder", self._layers("model.encoder")),
            ("decoder", self._layers("model.decoder")),
            ("queries", self._get("model.query_selection.num_queries")),
        )

    def data(self) -> list[Fact]:
        """Names of data sets and of their files, without their folders."""
        return _known(
            ("trained on", self._data("train")),
            ("evaluated on", self._data("val")),
        )

    def evaluated_on(self) -> str | None:
        return self._get("data.val_name")

    def images_of_classes(self) -> list[int] | None:
        """The number of training images with each class, by class index."""
        counts = self._get("data.image_counts")
        return list(counts) if counts else None

    def training(self, iteration: int) -> list[Fact]:
        """
        Args:
            iteration: number of completed iterations.
        """
        return _known(
            ("schemes", ", ".join(self._classes("model.schemes"))),
            ("iterations", self._done(iteration)),
            ("images of a step", self._get("dataloader.train.total_batch_size")),
            ("optimizer", self._optimizer()),
            ("weights at the start", self._start()),
            ("moving average of the weights", self._average()),
        )

    def _get(self, key: str) -> Any:
        try:
            return OmegaConf.select(self._config, key)
        except OmegaConfBaseException:  # it refers to something that does not exist
            return None

    def _class(self, key: str) -> str:
        return str(self._get(f"{key}._target_") or "").rpartition(".")[-1]

    def _classes(self, key: str) -> Iterable[str]:
        return (self._class(f"{key}.{index}") for index in range(len(self._get(key) or ())))

    def _layers(self, key: str) -> str:
        name, layers = self._class(key), self._get(f"{key}.num_layers")
        return f"{name} of {layers} layers" if name and layers else name

    def _data(self, part: str) -> str | None:
        name, file = self._get(f"data.{part}_name"), self._get(f"data.{part}_json")
        return f"{name} ({Path(file).name})" if name and file else name

    def _done(self, iteration: int) -> str:
        planned, each = self._get("train.max_iter"), self._get("train.iterations_per_epoch")
        epochs = f", {iteration / each:.3g} epochs" if each else ""
        return f"{iteration} of {planned or 'an unknown number'}{epochs}"

    def _optimizer(self) -> str:
        keys = ("lr", "weight_decay")
        found = _known(*((key, self._get(f"optimizer.{key}")) for key in keys))
        return ", ".join([self._class("optimizer"), *(f"{key} {text}" for key, text in found)])

    def _start(self) -> str | None:
        if checkpoint := self._get("train.init_checkpoint"):
            return Path(checkpoint).name
        pretrained = self._get("model.backbone.pretrained")
        if pretrained == OFFLINE:
            return "those of a package, of the backbone"
        if isinstance(pretrained, str):
            return f"{Path(pretrained).name}, of the backbone"
        return "timm's, of the backbone" if pretrained else None

    def _average(self) -> str | None:
        return f"decay {self._get('train.ema.decay')}" if self._get("train.ema.enabled") else None


def _known(*facts: tuple[str, Any]) -> list[Fact]:
    return [(label, str(value)) for label, value in facts if value not in (None, "")]
