"""The two global registries: the content of data sets, and their metadata."""

from collections import UserDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

__all__ = ["DatasetCatalog", "Metadata", "MetadataCatalog"]


class _Catalog(UserDict):
    def list(self) -> list[str]:
        """The registered names, in the order of registration."""
        return list(self.data)

    def remove(self, name: str) -> None:
        self.pop(name)

    def __repr__(self) -> str:
        return f"{type(self).__name__.lstrip('_')}({', '.join(self.data)})"


class _DatasetCatalog(_Catalog):
    """Name -> function without arguments that returns the data set as a list of dicts."""

    def register(self, name: str, func: Callable[[], Any]) -> None:
        """Raises AssertionError if `func` is not callable or the name is taken."""
        assert callable(func), f"To load dataset '{name}' takes a function, not {func!r}."
        assert name not in self, f"There already is a dataset '{name}'."
        self[name] = func

    # Unlike a dict, a catalog has no default.
    def get(self, name: str) -> Any:  # type: ignore[override]
        """Loads the data set; raises KeyError, listing the registered names, for an unknown one."""
        if name not in self:
            known = ", ".join(self.data)
            raise KeyError(f"There is no dataset '{name}'. Known are: {known}")
        return self[name]()


class Metadata(SimpleNamespace):
    """Metadata of one data set, as attributes; each may be set once, or again to the same value."""

    name = "N/A"

    def __getattr__(self, key: str) -> Any:
        known = ", ".join(self.__dict__) or "none"
        raise AttributeError(
            f"Nothing is known about '{key}' of dataset '{self.name}', only about: {known}."
        )

    def __setattr__(self, key: str, value: Any) -> None:
        """Raises AssertionError if the attribute already has another value."""
        # Otherwise two readers of one data set that disagree about its classes would go unnoticed.
        old = self.__dict__.get(key, value)
        assert old == value, (
            f"'{key}' of dataset '{self.name}' is known to be {old}, and cannot become {value}."
        )
        super().__setattr__(key, value)

    def set(self, **attributes: Any) -> "Metadata":
        for key, value in attributes.items():
            setattr(self, key, value)
        return self

    def get(self, key: str, default: Any = None) -> Any:
        return getattr(self, key, default)

    def as_dict(self) -> dict[str, Any]:
        """A copy that can be changed without changing the metadata."""
        return dict(self.__dict__)


class _MetadataCatalog(_Catalog):
    """Name -> Metadata; always the same object for the same name."""

    def get(self, name: str) -> Metadata:  # type: ignore[override]
        """The metadata of `name`, created empty if there is none yet."""
        assert name, "The metadata of a dataset without a name was asked for."
        return self.data.setdefault(name, Metadata(name=name))


DatasetCatalog = _DatasetCatalog()
MetadataCatalog = _MetadataCatalog()
