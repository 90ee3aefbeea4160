"""The objects of one image, as named fields of equal length."""

from collections.abc import Sequence
from itertools import chain
from typing import Any, NoReturn

import torch
from detectron2._subset import absent
from torch import Tensor

__all__ = ["Instances"]

__getattr__ = absent(__name__)


class Instances:
    """Fields such as `gt_boxes` or `scores`: attributes that are indexed and concatenated together.

    Names that begin with an underscore are not fields.
    """

    def __init__(self, image_size: tuple[int, int], **fields: Any) -> None:
        """`image_size` is (height, width)."""
        self._image_size = image_size
        self._fields: dict[str, Any] = {}
        for name, value in fields.items():
            self.set(name, value)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width)"""
        return self._image_size

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            self.set(name, value)

    def __getattr__(self, name: str) -> Any:
        # copy and pickle access incomplete objects, which have no _fields yet.
        if name.startswith("_") or name not in self._fields:
            raise AttributeError(f"these Instances have no field {name!r}")
        return self._fields[name]

    def set(self, name: str, value: Any) -> None:
        """Adds or replaces a field; it must have the same length as the other fields."""
        rows = len(value)
        assert not self._fields or rows == len(self), f"{name} has {rows} rows, not {len(self)}"
        self._fields[name] = value

    def get(self, name: str) -> Any:
        return self._fields[name]

    def has(self, name: str) -> bool:
        return name in self._fields

    def remove(self, name: str) -> None:
        del self._fields[name]

    def get_fields(self) -> dict[str, Any]:
        """The fields themselves, not a copy."""
        return self._fields

    def to(self, *args: Any, **kwargs: Any) -> "Instances":
        """New Instances, with `.to(...)` called on every field that has it."""
        moved = Instances(self._image_size)
        for name, value in self._fields.items():
            moved.set(name, value.to(*args, **kwargs) if hasattr(value, "to") else value)
        return moved

    def __getitem__(self, item: Any) -> "Instances":
        """The instances selected by an int, a slice, or any other index that all fields support."""
        if isinstance(item, int):
            if not -len(self) <= item < len(self):
                raise IndexError(f"instance {item} of {len(self)}")
            item = slice(item, None, len(self))
        chosen = Instances(self._image_size)
        for name, value in self._fields.items():
            chosen.set(name, value[item])
        return chosen

    def __len__(self) -> int:
        for value in self._fields.values():
            return len(value)
        raise NotImplementedError("Instances without fields have no length")

    def __iter__(self) -> NoReturn:
        raise NotImplementedError("Instances cannot be iterated over: index them")

    @staticmethod
    def cat(instance_lists: Sequence["Instances"]) -> "Instances":
        """Concatenates instances of the same image; the fields are those of the first."""
        assert instance_lists, "nothing to concatenate"
        first = instance_lists[0]
        if len(instance_lists) == 1:
            return first
        assert all(other.image_size == first.image_size for other in instance_lists)
        joined = Instances(first.image_size)
        for name in first.get_fields():
            joined.set(name, _join([instances.get(name) for instances in instance_lists]))
        return joined

    def __repr__(self) -> str:
        height, width = self._image_size
        fields = ", ".join(f"{name}: {value}" for name, value in self._fields.items())
        return (
            f"Instances(num_instances={len(self)}, image_height={height}, image_width={width}, "
            f"fields=[{fields}])"
        )


def _join(values: list[Any]) -> Any:
    kind = type(values[0])
    if isinstance(values[0], Tensor):
        return torch.cat(values)
    if isinstance(values[0], list):
        return list(chain.from_iterable(values))
    if hasattr(kind, "cat"):
        return kind.cat(values)
    raise ValueError(f"cannot concatenate values of {kind}")
