"""All options for applying a trained model, in one object that is passed down to the model."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypedDict

from hdetr_d2.runtime.checks import check_batch_size, check_score_threshold
from hdetr_d2.runtime.predictor import Predictor


class InferenceKeywords(TypedDict, total=False):
    """`InferenceOptions` as keyword arguments."""

    score_threshold: float
    device: str
    precision: str
    batch_size: int
    tile: int | None
    overlap: float
    trust: str | Sequence[str]


@dataclass(frozen=True)
class InferenceOptions:
    """Options for opening a trained model and applying it to images.

    Args:
        score_threshold: lower-scored detections are dropped; from 0 to 1.
        device, precision, trust: see `Predictor`.
        batch_size: number of images, or tiles, per forward pass.
        tile: side in pixels of the tiles into which large images are divided; None processes whole
            images.
        overlap: fraction of a tile shared with its neighbour.

    Raises:
        UserError: a threshold outside of [0, 1], or a batch size that is no whole number above 0.
    """

    score_threshold: float = 0.5
    device: str = "auto"
    precision: str = "float32"
    batch_size: int = 1
    tile: int | None = None
    overlap: float = 0.2
    trust: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        check_score_threshold(self.score_threshold)
        check_batch_size(self.batch_size)

    @classmethod
    def of(cls, arguments: object) -> "InferenceOptions":
        """Reads the options from a command's arguments; missing ones keep their defaults.

        Raises:
            UserError: see the class.
        """
        names = (field.name for field in fields(cls))
        return cls(**{name: getattr(arguments, name) for name in names if hasattr(arguments, name)})

    def changed(self) -> dict[str, Any]:
        """The options that differ from their defaults."""
        each = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: value for name, (value, default) in each.items() if value != default}

    def open(self, model: str | Path) -> Predictor:
        """Opens the model file `model`, with tiling if requested.

        Raises:
            UserError: see `Predictor` and `Predictor.tiled`.
        """
        return self.tiled(self.open_whole(model))

    def open_whole(self, model: str | Path) -> Predictor:
        """Opens the model file `model`, without tiling.

        Raises:
            UserError: see `Predictor`.
        """
        return Predictor(model, device=self.device, precision=self.precision, trust=self.trust)

    def tiled(self, predictor: Predictor) -> Predictor:
        """Returns `predictor` with the tiling of these options; see `Predictor.tiled`."""
        if self.tile is None:
            return predictor
        return predictor.tiled(self.tile, self.overlap, batch_size=self.batch_size)

    def opens_like(self, other: "InferenceOptions") -> bool:
        """Whether both open a model in the same way, regardless of how it is applied."""
        mine, theirs = ((each.device, each.precision, each.trust) for each in (self, other))
        return mine == theirs
