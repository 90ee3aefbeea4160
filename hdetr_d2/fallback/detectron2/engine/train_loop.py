"""The training loop, and hooks for everything except the step itself."""

import logging
import weakref
from collections.abc import Sequence

from detectron2._subset import absent
from detectron2.utils.events import EventStorage

__all__ = ["HookBase", "TrainerBase"]
__getattr__ = absent(__name__)

logger = logging.getLogger(__name__)


class HookBase:
    """Something to be done around the steps of a training; every method is optional.

    The loop calls `before_train`, then for each iteration `before_step`, the step (with
    `after_backward` inside) and `after_step`, and at the end `after_train`, also after an error.
    Anything slow belongs in `after_step`, which timers exclude.

    Attributes:
        trainer: the trainer (a weak reference), set when the hook is registered.
    """

    trainer: "TrainerBase"

    def before_train(self) -> None: ...

    def after_train(self) -> None: ...

    def before_step(self) -> None: ...

    def after_backward(self) -> None: ...

    def after_step(self) -> None: ...


class TrainerBase:
    """A loop over iterations with hooks; subclasses implement `run_step`.

    Attributes:
        iter: the current iteration; equal to `max_iter` in `after_train` of a finished run.
        start_iter, max_iter: the first iteration, and the one before which the loop ends.
        storage: receives the metrics of this training.
    """

    max_iter: int
    storage: EventStorage

    def __init__(self) -> None:
        self._hooks: list[HookBase] = []
        self.iter = 0
        self.start_iter = 0

    def register_hooks(self, hooks: Sequence[HookBase | None]) -> None:
        """Adds hooks, which are called in this order; None is ignored."""
        for hook in hooks:
            if hook is None:
                continue
            assert isinstance(hook, HookBase), f"{hook!r} is not a hook."
            # With a reference cycle, hooks and trainer (with the model) would outlive the training.
            hook.trainer = weakref.proxy(self)
            self._hooks.append(hook)

    def train(self, start_iter: int, max_iter: int) -> None:
        """Runs iterations start_iter ... max_iter - 1."""
        logger.info(f"Training iterations {start_iter} to {max_iter - 1}")
        self.iter = self.start_iter = start_iter
        self.max_iter = max_iter
        with EventStorage(start_iter) as self.storage:
            try:
                self.before_train()
                for self.iter in range(start_iter, max_iter):
                    self.before_step()
                    self.run_step()
                    self.after_step()
                # Tells hooks that the training has finished rather than failed.
                self.iter += 1
            except Exception:
                logger.exception(f"The training broke off at iteration {self.iter}:")
                raise
            finally:
                self.after_train()

    def run_step(self) -> None:
        raise NotImplementedError

    def before_train(self) -> None:
        for hook in self._hooks:
            hook.before_train()

    def after_train(self) -> None:
        self.storage.iter = self.iter
        for hook in self._hooks:
            hook.after_train()

    def before_step(self) -> None:
        self.storage.iter = self.iter
        for hook in self._hooks:
            hook.before_step()

    def after_backward(self) -> None:
        for hook in self._hooks:
            hook.after_backward()

    def after_step(self) -> None:
        for hook in self._hooks:
            hook.after_step()
