"""What is asked of a trained model besides the images: one object, from the door to the model."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypedDict

from hdetr_d2.errors import UserError
from hdetr_d2.runtime.predictor import Predictor, check_score_threshold


class InferenceKeywords(TypedDict, total=False):
    """`InferenceOptions` as the keywords of a function."""

    score_threshold: float
    device: str
    precision: str
    batch_size: int
    tile: int | None
    overlap: float
    trust: str | Sequence[str]


@dataclass(frozen=True)
class InferenceOptions:
    """How a trained model is opened, and how it looks at images.

    Args:
        score_threshold: detections below it are left out; from 0 to 1.
        device, precision, trust: see `Predictor`.
        batch_size: images, or tiles, of one forward pass.
        tile: side in pixels of the tiles that large images are divided into; None looks at images
            as a whole.
        overlap: the share of a tile that its neighbour has, too.

    Raises:
        UserError: no score can be the threshold, or a batch of nothing.
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
        if self.batch_size < 1:
            raise UserError(f"batch_size={self.batch_size} must be at least 1")

    @classmethod
    def of(cls, arguments: object) -> "InferenceOptions":
        """Those that the arguments of a command have; the others as they are by default.

        Raises:
            UserError: see the class.
        """
        names = (field.name for field in fields(cls))
        return cls(**{name: getattr(arguments, name) for name in names if hasattr(arguments, name)})

    def changed(self) -> dict[str, Any]:
        """Those that are not as they are by default."""
        each = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name: value for name, (value, default) in each.items() if value != default}

    def open(self, model: str | Path) -> Predictor:
        """The model of a file, which looks at tiles where there are to be tiles.

        Raises:
            UserError: see `Predictor` and `Predictor.tiled`.
        """
        return self.tiled(self.open_whole(model))

    def open_whole(self, model: str | Path) -> Predictor:
        """The model of a file, without tiles.

        Raises:
            UserError: see `Predictor`.
        """
        return Predictor(model, device=self.device, precision=self.precision, trust=self.trust)

    def tiled(self, predictor: Predictor) -> Predictor:
        """The same model with these tiles; see `Predictor.tiled`."""
        if self.tile is None:
            return predictor
        return predictor.tiled(self.tile, self.overlap, batch_size=self.batch_size)

    def opens_like(self, other: "InferenceOptions") -> bool:
        """Whether both open a model the same way, whatever is asked of it then."""
        mine, theirs = ((each.device, each.precision, each.trust) for each in (self, other))
        return mine == theirs
