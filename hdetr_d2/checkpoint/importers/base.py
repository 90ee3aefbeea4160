"""The interface of importers, and their result."""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from hdetr_d2.checkpoint.files import read_checkpoint
from hdetr_d2.checkpoint.importers.arguments import Arguments
from hdetr_d2.checkpoint.importers.averages import choose_weights


@dataclass
class Imported:
    """A published checkpoint converted to this project.

    recipe: the most similar file below `configs/`. options: dotted config options -> plain values
    that differ from it. weights: under this project's names; unknown names are kept, and reported
    as not fitting. left_out: names in the file that are not needed -> reason. objectness_heads:
    prefixes of class heads whose channel 0 means "object", whatever the classes. label_tables:
    names of weights with one row per class plus one. class_names: by class index, if the file
    contains them.
    """

    recipe: str
    options: dict[str, Any]
    weights: dict[str, Tensor]
    left_out: dict[str, str] = field(default_factory=dict)
    objectness_heads: tuple[str, ...] = ()
    label_tables: tuple[str, ...] = ()
    class_names: Sequence[str] = ()


class Importer(ABC):
    """Reads the checkpoints of one training script.

    name: of the source. defaults: the relevant arguments of the script, with its defaults.
    """

    name: str
    defaults: Mapping[str, Any]

    def load(
        self, path: str | Path, weights: str | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights under the script's own names, and the script's arguments, if the file
        contains them; for files of the form {"model": ..., "args": Namespace}. No code in the file
        is run.

        Args:
            weights: the key of the weights, if the file also contains a moving average.

        Raises:
            UserError: the file cannot be read, or contains other kinds of objects.
        """
        content = read_checkpoint(path, also=(argparse.Namespace,))
        arguments = content.get("args")
        known = isinstance(arguments, argparse.Namespace)
        return choose_weights(content, weights, path), vars(arguments) if known else {}

    @abstractmethod
    def read(self, arguments: Arguments, weights: Mapping[str, Tensor]) -> Imported:
        """Options and weights of the model that the script would build.

        Raises:
            UserError: weights and arguments contradict each other, or the model is not supported
                here.
        """
