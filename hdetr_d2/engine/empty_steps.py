"""Ends a training that has nothing to learn from."""

from hdetr_d2.errors import UserError

TARGETS = "data/targets"
"""Name of the metric that counts the ground truths of a step, averaged over processes."""


class EmptySteps:
    """Checks steps until one of them has an object in any process.

    Args:
        most: number of steps without any object after which the training ends.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._steps = self._images = 0
        self._has_seen = False

    def look(self, ground_truths: float, images: int, *, is_last: bool) -> None:
        """Called for every step, in order.

        Args:
            ground_truths: the same in all processes, so that all of them end together.
            images: number of images of the step, in all processes.
            is_last: whether it is the last step of a training that began with step 0.

        Raises:
            UserError: no step has had an object, and this is the last step or step number `most`.
        """
        self._has_seen = self._has_seen or ground_truths > 0
        self._steps, self._images = self._steps + 1, self._images + images
        if self._has_seen or not (is_last or self._steps >= self.most):
            return
        raise UserError(
            f"no object in {self._steps} steps ({self._images} images): nothing is learned from "
            "images without objects; `hdetr-d2 check-data` counts those of the annotations (crowds "
            "are none), and dataloader.train.mapper may lose some"
        )
