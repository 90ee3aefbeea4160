"""What an importer is, and what it makes of a file."""

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
    """A published checkpoint in this project's terms.

    recipe: the file below `configs/` that comes nearest. options: dotted config options -> plain
    values that it does not have. weights: by this project's names; a name that the importer does
    not know stays as it is, and is told to the user as one that does not fit. left_out: names of
    the file that are not needed -> why. objectness_heads: prefixes of class heads whose channel 0
    stands for "object", whatever the classes. label_tables: names of weights with a row for each
    class and one more. class_names: by class index, where the file tells them.
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

    name: of the source. defaults: the arguments of the script that matter here, with its defaults.
    """

    name: str
    defaults: Mapping[str, Any]

    def load(
        self, path: str | Path, weights: str | None = None
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The weights by the script's own names, and the arguments it was called with, if the file
        says; for a file of the form {"model": ..., "args": Namespace}. No code in it is run.

        Args:
            weights: under which name of the file, where it holds a moving average, too.

        Raises:
            UserError: the file cannot be read, or holds objects of any other kind.
        """
        content = read_checkpoint(path, also=(argparse.Namespace,))
        arguments = content.get("args")
        known = isinstance(arguments, argparse.Namespace)
        return choose_weights(content, weights, path), vars(arguments) if known else {}

    @abstractmethod
    def read(self, arguments: Arguments, weights: Mapping[str, Tensor]) -> Imported:
        """Options and weights of the model that the script would build.

        Raises:
            UserError: weights and arguments contradict each other, or there is no such model here.
        """
