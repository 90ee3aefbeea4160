"""Passes numbers from code inside a model to the trainer, without changing all signatures in
between and without waiting for the device.
"""

from contextvars import ContextVar, Token

from torch import Tensor

_active: ContextVar["Observer | None"] = ContextVar("hdetr_d2_observer", default=None)


class Observer:
    """Collects the observations of this thread while active (`with observer:`).

    seen: by name, still on its device; tensors with the same name are summed. means: 0-d, by the
    name under which they are logged.
    """

    def __init__(self) -> None:
        self.seen: dict[str, Tensor] = {}
        self.means: dict[str, Tensor] = {}
        self._token: Token | None = None

    def __enter__(self) -> "Observer":
        self._token = _active.set(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._token is not None:
            _active.reset(self._token)

    def add(self, name: str, value: Tensor) -> None:
        value = value.detach()
        self.seen[name] = self.seen[name] + value if name in self.seen else value


def observe_mean(name: str, value: Tensor) -> None:
    """Reports a mean over the images of the batch, 0-d, to the active `Observer`; the trainer logs
    it as the metric `name`, such as "routing/strength". Does nothing without an observer.
    """
    observer = _active.get()
    if observer is not None:
        observer.means[name] = value.detach()


def observe(name: str, value: Tensor) -> None:
    """Reports `value` to the active `Observer`; does nothing without one."""
    observer = _active.get()
    if observer is not None:
        observer.add(name, value)
