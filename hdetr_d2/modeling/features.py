"""Which backbone features a part of the model uses."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import cast

from detectron2.layers import ShapeSpec
from torch import nn

Shapes = Mapping[str, ShapeSpec] | Sequence[int]
"""A backbone's `output_shape()`, or the channels of each feature in use."""


class TakesFeatures(nn.Module, ABC):
    """A part whose arguments `in_shapes` and `in_features` select the features it uses. What they
    leave open is filled in from the backbone when a detector connects the two. The layers are
    created as soon as the channels are known.

    part: its name in a config, for messages. in_features: names of the features in use, once known.
    in_channels: channels of each, by name.
    """

    part = ""
    in_features: tuple[str, ...]
    in_channels: Mapping[str, int]

    @abstractmethod
    def make_layers(self, channels: Sequence[int]) -> None:
        """Creates the layers for features with these channels."""

    def take(self, in_shapes: Shapes | None, in_features: Sequence[str] | None) -> None:
        """Evaluates the arguments. Must be the last line of a constructor, since it may create
        layers.
        """
        if in_features is None and isinstance(in_shapes, Mapping):
            in_features = _finest_first(in_shapes)
        self._shapes, self._names = in_shapes, in_features
        if in_shapes is None:
            return
        if in_features is None:
            self.make_layers(list(cast(Sequence[int], in_shapes)))
        else:
            self.make_layers(self._settle(in_shapes, in_features))

    def connect(self, given: Mapping[str, ShapeSpec]) -> None:
        """Fills in what is still open from the backbone's `output_shape()`: all of its features,
        finest first, and their channels.

        Raises:
            ValueError: features and channels do not fit each other, or this part.
        """
        names = _finest_first(given) if self._names is None else self._names
        if self._shapes is not None:
            self._settle(self._shapes, names)
        else:
            self._shapes = given
            self.make_layers(self._settle(given, names))

    def only(self, channels: Sequence[int]) -> int:
        """The single feature.

        Raises:
            ValueError: there are several.
        """
        if len(channels) != 1:
            features = list(getattr(self, "in_features", channels))
            raise ValueError(f"{self.part}.in_features={features} must be one feature.")
        return channels[0]

    def _settle(self, shapes: Shapes, names: Sequence[str]) -> list[int]:
        channels = _channels(shapes, names, self.part)
        self.in_features = tuple(names)
        self.in_channels = dict(zip(names, channels, strict=True))
        return channels


def _finest_first(shapes: Mapping[str, ShapeSpec]) -> list[str]:
    return sorted(shapes, key=lambda name: shapes[name].stride or 0)


def _channels(shapes: Shapes, names: Sequence[str], part: str) -> list[int]:
    if not isinstance(shapes, Mapping):
        if len(shapes) != len(names):
            raise ValueError(
                f"{part}.in_shapes has {len(shapes)} numbers for the features {list(names)}."
            )
        return list(shapes)
    if unknown := sorted(set(names) - set(shapes)):
        raise ValueError(
            f"{part}.in_features has {unknown}, but the backbone gives {sorted(shapes)}."
        )
    return [cast(int, shapes[name].channels) for name in names]
