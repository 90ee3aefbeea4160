"""Training steps to time: a model, its optimizer, and one batch that is used repeatedly."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn
from torch.optim import Optimizer

from hdetr_d2.engine.build import build, build_optimizer
from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.shipped import shipped_config
from hdetr_d2.modeling.backbone import without_pretrained

CLASSES = 91


@dataclass(frozen=True)
class Batch:
    """For each image: `Tensor[3, H, W]` RGB, 0 to 255; labels, `Tensor[G]`; boxes, `Tensor[G, 4]`
    cxcywh in [0, 1].
    """

    images: list[Tensor]
    labels: list[Tensor]
    boxes: list[Tensor]

    def as_inputs(self) -> list[dict]:
        """In Detectron2's form, on the host, as returned by a loader."""
        inputs = []
        for image, labels, boxes in zip(self.images, self.labels, self.boxes, strict=True):
            height, width = image.shape[-2:]
            centre, half = boxes[:, :2], boxes[:, 2:] / 2
            xyxy = torch.cat([centre - half, centre + half], 1)
            scale = torch.tensor([width, height, width, height])
            instances = Instances((height, width), gt_boxes=Boxes(xyxy * scale), gt_classes=labels)
            inputs.append({"image": image, "instances": instances})
        return inputs


def draw_batch(images: int, height: int, width: int, targets: int) -> Batch:
    """The same batch for the same numbers."""
    generator = torch.Generator().manual_seed(0)

    def uniform(low: float, high: float) -> list[Tensor]:
        return [
            low + (high - low) * torch.rand(targets, 2, generator=generator) for _ in range(images)
        ]

    centres, sizes = uniform(0.25, 0.75), uniform(0.05, 0.4)
    shape = (3, height, width)
    return Batch(
        [torch.randint(256, shape, generator=generator).float() for _ in range(images)],
        [torch.randint(CLASSES, (targets,), generator=generator) for _ in range(images)],
        [torch.cat(part, 1) for part in zip(centres, sizes, strict=True)],
    )


@dataclass(frozen=True)
class Step:
    """A training step of a model.

    losses: returns the weighted losses of the batch. optimizer: of all parameters. max_norm: of the
    gradient. products: PyTorch's precision of float32 products.
    """

    model: nn.Module
    losses: Callable[[], Mapping[str, Tensor]]
    optimizer: Optimizer
    max_norm: float = 0.1
    products: str = "highest"

    def total(self) -> Tensor:
        with _multiplied(self.products):
            return torch.stack([*self.losses().values()]).sum()

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        total = self.total()
        with _multiplied(self.products):
            total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.max_norm)
        self.optimizer.step()


@contextmanager
def _multiplied(precision: str) -> Iterator[None]:
    """For this step only, not for the other sides of the process."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def ours(recipe: str, batch: Batch, device: str, changes: Sequence[str] = ()) -> Step:
    """A shipped recipe, with some options changed and random weights, in a process set up as by
    `train_net.py`, in the precision of its options.
    """
    _keep_freed_memory()
    cfg = load_config(shipped_config(recipe), [f"data.num_classes={CLASSES}", *changes])
    with without_pretrained():
        model = build(cfg, "model").to(device).train()
    inputs = batch.as_inputs()
    optimizer = build_optimizer(cfg.optimizer, model)
    train, amp = cfg.train, cfg.train.amp
    products = train.get("matmul_precision", "auto")  # a commit before this option existed
    products = "highest" if products == "auto" else products  # as for the peers, also on a GPU
    precision = Precision.choose(enabled=amp.enabled, dtype=amp.dtype, device=torch.device(device))

    def losses() -> Mapping[str, Tensor]:
        with precision.autocast():
            return model(inputs)

    return Step(model, losses, optimizer, train.clip_grad_norm, products)


def _keep_freed_memory() -> None:
    try:
        from hdetr_d2.utils.memory import keep_freed_memory
    except ImportError:  # a commit before it existed
        return
    keep_freed_memory()


def one_by_one(step: Step) -> Step:
    """The same step, with a decoder that processes one query group after the other, not all at
    once.
    """
    decoder = step.model.decoder
    decode = decoder.forward
    decoder.forward = lambda groups, memory: [decode([group], memory)[0] for group in groups]
    return step
