"""How code inside a model tells the trainer a number, without a place for it in every signature and
without making the device wait.
"""

from contextvars import ContextVar, Token

from torch import Tensor

_active: ContextVar["Observer | None"] = ContextVar("hdetr_d2_observer", default=None)


class Observer:
    """Collects what this thread observes while it is active (`with observer:`).

    seen: by name, still on its device; of several tensors of one name the sum. means: 0-d, by the
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
    """Tells the active `Observer` a mean over the images of the batch, 0-d, which the trainer logs
    as the metric `name`: "routing/strength". Does nothing when there is none.
    """
    observer = _active.get()
    if observer is not None:
        observer.means[name] = value.detach()


def observe(name: str, value: Tensor) -> None:
    """Tells `value` to the active `Observer`; does nothing when there is none."""
    observer = _active.get()
    if observer is not None:
        observer.add(name, value)
