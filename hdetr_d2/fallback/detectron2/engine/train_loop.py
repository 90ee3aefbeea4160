"""The training loop, and the hooks that do everything in it but the step."""

import logging
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from detectron2._subset import absent
from detectron2.utils import comm
from detectron2.utils.events import EventStorage, get_event_storage
from torch import Tensor, nn
from torch.optim import Optimizer

__all__ = ["HookBase", "SimpleTrainer", "TrainerBase"]
__getattr__ = absent(__name__)

logger = logging.getLogger(__name__)


class HookBase:
    """Something to be done around the steps of a training; every method may be left as it is.

    The loop calls `before_train`, then for each iteration `before_step`, the step (in it
    `after_backward`) and `after_step`, and in the end `after_train`, also after an error. What
    takes time belongs into `after_step`, so that timers leave it out.

    Attributes:
        trainer: the trainer (a weak reference), known from the registration on.
    """

    trainer: "TrainerBase"

    def before_train(self) -> None: ...

    def after_train(self) -> None: ...

    def before_step(self) -> None: ...

    def after_backward(self) -> None: ...

    def after_step(self) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs; a hook with an empty one is not saved."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


class TrainerBase:
    """A loop over iterations with hooks; what a step does is up to `run_step`.

    Attributes:
        iter: the current iteration; equal to `max_iter` in `after_train` of a run that finished.
        start_iter, max_iter: the first iteration, and the one before which the loop ends.
        storage: where metrics of this training go.
    """

    max_iter: int
    storage: EventStorage

    def __init__(self) -> None:
        self._hooks: list[HookBase] = []
        self.iter = 0
        self.start_iter = 0

    def register_hooks(self, hooks: Sequence[HookBase | None]) -> None:
        """Add hooks, called in this order; None is passed over."""
        for hook in hooks:
            if hook is None:
                continue
            assert isinstance(hook, HookBase), f"{hook!r} is not a hook."
            # Owning each other, hooks and trainer (with the model) would outlive the training.
            hook.trainer = weakref.proxy(self)
            self._hooks.append(hook)

    def train(self, start_iter: int, max_iter: int) -> None:
        """Run iterations start_iter ... max_iter - 1."""
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
                # Hooks tell a finished training from a broken one by this.
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

    def state_dict(self) -> dict[str, Any]:
        """`iteration`, and the states of `hooks` by class name (the first of a class)."""
        hooks: dict[str, Any] = {}
        for hook in self._hooks:
            if state := hook.state_dict():
                hooks.setdefault(type(hook).__qualname__, state)
        return {"iteration": self.iter, **({"hooks": hooks} if hooks else {})}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.iter = state_dict["iteration"]
        for name, state in state_dict.get("hooks", {}).items():
            hook = next((h for h in self._hooks if type(h).__qualname__ == name), None)
            if hook is None:
                logger.warning(f"The state of a hook {name} is left out: there is no such hook.")
            else:
                hook.load_state_dict(state)


class SimpleTrainer(TrainerBase):
    """One model, one loader, one optimizer: forward, backward and update in every step."""

    def __init__(
        self,
        model: nn.Module,
        data_loader: Iterable,
        optimizer: Optimizer,
        gather_metric_period: int = 1,
        zero_grad_before_forward: bool = False,
    ) -> None:
        """
        Args:
            model: returns a dict of scalar losses, which are summed, or one loss; is put in
                training mode.
            data_loader: its batches go to the model as they are.
            optimizer: of the model's parameters.
            gather_metric_period: losses are brought together from all processes, written to the
                storage and looked at every so many iterations.
            zero_grad_before_forward: not after it, as for a model that writes gradients in it.
        """
        super().__init__()
        model.train()
        self.model = model
        self.data_loader = data_loader
        self.optimizer = optimizer
        self.gather_metric_period = gather_metric_period
        self.zero_grad_before_forward = zero_grad_before_forward
        self._iterator: Iterator | None = None

    @property
    def _data_loader_iter(self) -> Iterator:
        # Only with the first batch: an iterator starts worker processes.
        if self._iterator is None:
            self._iterator = iter(self.data_loader)
        return self._iterator

    def reset_data_loader(self, data_loader_builder: Callable[[], Iterable]) -> None:
        """Go on with another loader; the old one is let go before the new one is built."""
        del self.data_loader
        self._iterator = None
        self.data_loader = data_loader_builder()

    def run_step(self) -> None:
        """Raises AssertionError when somebody left the model in eval mode."""
        assert self.model.training, "The model is in eval mode: who has left it so?"
        start = time.perf_counter()
        data = next(self._data_loader_iter)
        data_time = time.perf_counter() - start

        if self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        losses = self.model(data)
        if isinstance(losses, Tensor):
            losses = {"total_loss": losses}
        if not self.zero_grad_before_forward:
            self.optimizer.zero_grad()
        sum(losses.values()).backward()
        self.after_backward()
        self._write_metrics(losses, data_time)
        self.optimizer.step()

    def _write_metrics(
        self, loss_dict: Mapping[str, Tensor], data_time: float, prefix: str = ""
    ) -> None:
        if (self.iter + 1) % self.gather_metric_period == 0:
            self.write_metrics(loss_dict, data_time, self.iter, prefix)

    @staticmethod
    def write_metrics(
        loss_dict: Mapping[str, Tensor], data_time: float, cur_iter: int, prefix: str = ""
    ) -> None:
        """Put into the current storage the losses (mean over processes), their sum as
        `total_loss`, and `data_time` (the slowest process's).

        Raises:
            FloatingPointError: on the main process, when the sum is not finite.
        """
        metrics = {name: loss.detach().item() for name, loss in loss_dict.items()}
        storage = get_event_storage()
        storage.put_scalar("rank_data_time", data_time, cur_iter=cur_iter)
        gathered = comm.gather((metrics, data_time))
        if not comm.is_main_process():
            return
        storage.put_scalar("data_time", max(t for _, t in gathered), cur_iter=cur_iter)
        means = {name: float(np.mean([m[name] for m, _ in gathered])) for name in metrics}
        total = sum(means.values())
        if not np.isfinite(total):
            raise FloatingPointError(
                f"The loss of iteration {cur_iter} is not finite: {total}, the sum of {means}."
            )
        storage.put_scalar(f"{prefix}total_loss", total, cur_iter=cur_iter)
        if len(means) > 1:
            for name, mean in means.items():
                storage.put_scalar(name, mean, cur_iter=cur_iter)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.optimizer.load_state_dict(state_dict["optimizer"])
