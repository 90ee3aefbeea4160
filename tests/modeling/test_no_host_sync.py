"""Between the batch and the gradients the host never waits for the device: every model and every
scheme of the configs.

One wait is left, that of a two-stage head of Co-DETR for its proposals, and is taken out here.
Shown without a device on tensors without values; the kernels, of which only shapes are asked there,
and the optimizer are part of the test that runs on a GPU. Outside of both is the first part of
`Targets.from_inputs`: it checks and pads what the loader left on the host.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.engine import HookBase
from detectron2.structures import Instances
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import unset_fake_temporarily

from hdetr_d2.engine import bad_costs
from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.trainer import Trainer
from hdetr_d2.matching import HungarianMatcher
from hdetr_d2.modeling.backbone import timm_backbone
from hdetr_d2.ops.extension import is_defined, why_no_kernel
from hdetr_d2.structures import Step, Targets
from hdetr_d2.teachers.frozen import Frozen
from hdetr_d2.utils.observation import Observer

sys.path.insert(0, str(Path(__file__).parent))
from device_waits import WAITS, NoWaits, WaitError
from recipes import PLUS_PLUS, RECIPES, SCHEMES, SETS, name_of

# Operator -> what decides, in its module, whether the kernels are used, and the answer for it.
KERNELS: dict[str, tuple[str, Any]] = {
    "affine_relu": ("_use_kernels", True),
    "batched_assignment": ("_why_no_kernel", ""),
    "box_losses": ("_use_kernels", True),
    "matching_cost": ("_use_kernels", True),
    "move_boxes": ("_use_kernels", True),
    "ms_deform_attn": ("why_no_kernels", ""),
    "ms_deform_attn_fused": ("_use_kernels", True),
    "sigmoid_focal_loss": ("_use_kernels", True),
}


@pytest.fixture
def kernels_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operators take their compiled form, also for the devices that this machine lacks."""
    for op, (name, answer) in KERNELS.items():
        if not is_defined(op):
            pytest.skip(f"needs the schema of {op}, which is compiled")
        module = sys.modules[f"hdetr_d2.ops.{op}"]  # the package has the function under that name
        monkeypatch.setattr(module, name, lambda *args, answer=answer: answer)


@pytest.fixture(autouse=True)
def proposals_need_no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one exception: how many proposals suppression leaves is known to the device alone. Here
    it leaves all of them.
    """
    for name, module in [*sys.modules.items()]:
        if name.startswith("hdetr_d2.projects.") and hasattr(module, "batched_nms"):
            monkeypatch.setattr(module, "batched_nms", _all_boxes)


@pytest.fixture(autouse=True)
def classifiers_are_no_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backbone looks at timm's classifier on the meta device. Some releases of PyTorch (2.14)
    make tensors there that a surrounding fake mode does not know, and refuses.
    """
    original = timm_backbone.meta_classifier

    def build(*args: Any) -> torch.nn.Module:
        with unset_fake_temporarily():
            return original(*args)

    monkeypatch.setattr(timm_backbone, "meta_classifier", build)


@pytest.fixture(autouse=True)
def copies_stay_in_their_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of a module, as schemes make of heads, would otherwise have a fake mode of its own."""
    monkeypatch.setattr(FakeTensorMode, "__deepcopy__", lambda mode, memo: mode, raising=False)


def _all_boxes(boxes: Tensor, *others: Any) -> Tensor:
    return torch.arange(len(boxes), device=boxes.device)


def step(tiny_model: Any, path: str, schemes: Sequence[str], device: str) -> None:
    """A training step on tensors without values; the backward pass on the host's only, because
    autograd wants a real device of another kind.
    """
    options = {"schemes": [SCHEMES[name] for name in schemes]} if schemes else {}
    with torch.device(device):
        model = tiny_model(path, **options)
        for scheme in model.schemes:
            if isinstance(teacher := getattr(scheme, "teacher", None), Frozen):
                # Made when it is first asked, once; fakes cannot be moved.
                teacher._net = teacher.build(torch.device(device)).requires_grad_(False).eval()
        labels, boxes = torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, 4, 4)
        masks = torch.zeros(2, 4, 64, 96, dtype=torch.bool)
        targets = Targets(labels, boxes, torch.ones(2, 4, dtype=torch.bool), masks)
        step = Step(torch.ones(()))
    found = Instances((64, 64), scores=torch.zeros(4))
    images = [torch.zeros(3, 64, side, dtype=torch.uint8) for side in (96, 64)]
    batch = [{"image": image, "teacher": found} for image in images]
    with pytest.MonkeyPatch.context() as patch, NoWaits(), Observer() as observer:
        patch.setattr(Targets, "from_inputs", lambda *args, **options: targets)
        losses = model(batch, step)
        loss = torch.stack([*losses.values()]).sum()
        loss = bad_costs.spoil(loss, bad_costs.count(observer.seen, model.device))
        if device == "cpu":
            loss.backward()
    assert loss.device.type == device
    given = [p.grad is not None for p in model.parameters() if p.requires_grad]
    assert all(given) if device == "cpu" else not any(given)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(("path", "schemes"), SETS, ids=name_of)
def test_a_step_without_values(
    tiny_model: Any, kernels_everywhere: None, path: str, schemes: Sequence[str], device: str
) -> None:
    with FakeTensorMode():
        step(tiny_model, path, schemes, device)


PLANTED = {
    "cpu": lambda x: x.cpu(),
    "to": lambda x: x.to("cpu", non_blocking=True),
    "item": lambda x: x.sum().item(),
    "tolist": lambda x: x.tolist(),
    "bool": lambda x: bool((x > 0).any()),
    "nonzero": lambda x: (x > 0).nonzero(),
    "mask": lambda x: x[x > 0],
    "masked_select": lambda x: x.masked_select(x > 0),
    "unique": lambda x: x.unique(),
    "tensor": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "new_tensor": lambda x: x.new_tensor([1.0, 2.0]),
    "index": lambda x: x[[0, 1]],
    "index of the host": lambda x: x[torch.zeros(2, dtype=torch.int64)],
    "copy": lambda x: x.copy_(torch.zeros(3)),
    "pageable": lambda x: torch.zeros(3).to(x.device, non_blocking=True),
    "pageable copy": lambda x: x.copy_(torch.zeros(3), non_blocking=True),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_wait_is_found(name: str) -> None:
    with FakeTensorMode(), NoWaits(), pytest.raises(WAITS):
        PLANTED[name](torch.zeros(3, device="cuda"))


def test_a_wait_in_a_model_is_found(
    tiny_model: Any, kernels_everywhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = HungarianMatcher.forward

    def on_the_host(*args: Any) -> list:
        return [answer.cpu().to(answer.device) for answer in forward(*args)]

    monkeypatch.setattr(HungarianMatcher, "forward", on_the_host)
    with FakeTensorMode(), pytest.raises(WaitError, match="from cuda:0 to cpu waits"):
        step(tiny_model, PLUS_PLUS, (), "cuda")


class Forbid(HookBase):
    """One step in which PyTorch raises where the host waits; kernels are warm by then."""

    def before_step(self) -> None:
        torch.cuda.set_sync_debug_mode("error" if self.trainer.iter == 2 else "default")

    def after_step(self) -> None:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.needs_cuda
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("path", "scheme"), RECIPES)
def test_a_step_of_the_trainer_on_a_gpu(
    tiny_model: Any, make_batch: Any, path: str, scheme: str | None, dtype: torch.dtype | None
) -> None:
    device = torch.device("cuda", 0)
    if reason := why_no_kernel("batched_assignment", device):
        pytest.skip(reason)
    options = {} if scheme is None else {"schemes": [SCHEMES[scheme]]}
    model = tiny_model(path, **options).to(device)
    batch = [{**item, "image": item["image"].pin_memory()} for item in make_batch([3, 0])]
    precision = Precision("cuda", dtype)
    trainer = Trainer(
        model=model,
        make_loader=lambda done: iter([batch] * 4),
        optimizer=torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True),
        scaler=precision.scaler(),
        precision=precision,
        device=device,
        seed=0,
        clip_grad_norm=0.1,
    )
    trainer.register_hooks([Forbid()])
    trainer.train(0, 4)
