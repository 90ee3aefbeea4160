"""A step that was recorded does what a step does: every model and every scheme of the configs."""

import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.config import LazyCall as L
from torch import nn

from hdetr_d2.engine import graphs
from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.graphs import CudaGraphs, Record
from hdetr_d2.engine.trainer import Trainer
from hdetr_d2.errors import UserError
from hdetr_d2.matching import HighOrderMatcher
from hdetr_d2.schemes import HybridBranch

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from recipes import DENSE, PLUS_PLUS, SCHEMES, SETS, name_of
from tape import Tapes

ON_THE_HOST = {"teach_detr", "kd_detr", "feature_distillation"}
"""Schemes with a teacher, which looks at the images as they were loaded."""
OF_DATA = {"co_heads", "two_heads"}
"""Schemes whose shapes depend on values: a two-stage head that suppresses proposals."""
STEPS = 8  # of which some are alike, whose weights follow the progress
CPU = torch.device("cpu")


def train(
    model: nn.Module,
    batches: Sequence[list[dict]],
    record: Record,
    device: torch.device = CPU,
    dtype: torch.dtype | None = None,
) -> tuple[Trainer, dict[str, list[float]]]:
    """The trainer after a short training, and its metrics by name."""
    precision = Precision(device.type, dtype)
    trainer = Trainer(
        model=model.to(device),
        make_loader=lambda done: iter(batches),
        optimizer=torch.optim.AdamW(model.parameters(), lr=1e-3),
        scaler=precision.scaler(),
        precision=precision,
        device=device,
        seed=0,
        clip_grad_norm=0.1,
        record=record,
        log_period=1,
    )
    trainer.train(0, len(batches))
    learned = {
        name: [value for value, _ in history.values()]
        for name, history in trainer.storage.histories().items()
        if not name.startswith(("time/", "memory/"))
    }
    return trainer, learned


def never(function: Any) -> Any:
    raise AssertionError("recorded")


@pytest.fixture
def same_when_recorded(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Trains with and without a tape; returns the kinds of steps that were recorded."""

    def compare(model: nn.Module, batches: Sequence[list[dict]]) -> int:
        other = copy.deepcopy(model)
        trainer, losses = train(model, batches, Tapes())
        with monkeypatch.context() as patch:
            patch.setattr(graphs, "WARM_UP", len(batches))
            _, expected = train(other, batches, never)
        assert losses == expected
        weights = other.state_dict()
        assert all(torch.equal(each, weights[name]) for name, each in model.state_dict().items())
        return len(trainer._gradients.graphs)

    return compare


def batches_of(make_batch: Any, number: int = STEPS) -> list[list[dict]]:
    """Of one size, with other images, and other numbers of objects."""
    return [make_batch([1 + index % 3, index % 5]) for index in range(number)]


@pytest.mark.slow
@pytest.mark.parametrize(("path", "schemes"), SETS, ids=name_of)
def test_a_recorded_step_of_every_recipe(
    tiny_model: Any,
    make_batch: Any,
    same_when_recorded: Any,
    path: str,
    schemes: Sequence[str],
) -> None:
    fitting = [SCHEMES[name] for name in schemes if name not in ON_THE_HOST | OF_DATA]
    model = tiny_model(path, **({"schemes": fitting} if schemes else {}))
    assert same_when_recorded(model, batches_of(make_batch)) >= 1


@pytest.mark.parametrize("scheme", sorted(ON_THE_HOST))
def test_who_looks_at_the_images_as_they_were_loaded_is_refused(
    tiny_model: Any, make_batch: Any, scheme: str
) -> None:
    model = tiny_model(PLUS_PLUS, schemes=[SCHEMES[scheme]])
    with pytest.raises(UserError, match="on the host: set train.cuda_graphs=false"):
        train(model, batches_of(make_batch, 1), Tapes())


@pytest.mark.parametrize("scheme", sorted(OF_DATA))
def test_what_cannot_be_recorded_is_refused(tiny_model: Any, make_batch: Any, scheme: str) -> None:
    model = tiny_model(PLUS_PLUS, schemes=[SCHEMES[scheme]])
    with pytest.raises(UserError, match="cannot be recorded .* train.cuda_graphs=false"):
        train(model, batches_of(make_batch), Tapes())


@pytest.mark.parametrize("images", [(64, 96), (48, 90)], ids=str)
def test_images_of_other_sizes_in_one_frame(
    tiny_model: Any, make_batch: Any, same_when_recorded: Any, images: tuple[int, int]
) -> None:
    """Padded they are alike; more objects are another kind."""
    batches = batches_of(make_batch)
    batches[5] = [batches[5][0], make_batch([2, 1], size=images)[1]]
    many = [make_batch([9, 2]), make_batch([1, 12])] * 3
    model = tiny_model(PLUS_PLUS, schemes=[SCHEMES["hybrid_branch"]])
    assert same_when_recorded(model, [*batches, *many]) == 2


def test_what_follows_the_progress_is_another_kind(
    tiny_model: Any, make_batch: Any, same_when_recorded: Any
) -> None:
    batches = batches_of(make_batch, 15)
    late = tiny_model(
        criterion__matcher=L(HighOrderMatcher)(
            weights={"class": 2.0, "bbox": 5.0, "giou": 2.0}, start=2 / 3
        )
    )
    epoch = tiny_model(schemes=[SCHEMES["hybrid_epoch"]])  # until two thirds, too
    rising = tiny_model(schemes=[L(HybridBranch)(num_queries=8, repeats=2, weight=float)])
    assert [same_when_recorded(model, batches) for model in (late, epoch, rising)] == [2, 2, 0]


def test_images_of_many_sizes_are_told(
    tiny_model: Any,
    make_batch: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(graphs, "PATIENCE", 3)
    sizes = [(64, 64 + 32 * index) for index in range(4)]
    train(tiny_model(), [make_batch([1, 2], size=size) for size in sizes], never)
    assert "none of 3 steps was recorded" in caplog.text


def test_no_more_kinds_than_there_is_room_for(
    tiny_model: Any, make_batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "MOST", 1)
    batches = [make_batch([1, 2], size=size) for size in [(64, 64), (64, 96)] for _ in range(5)]
    trainer, _ = train(tiny_model(), batches, Tapes())
    assert len(trainer._gradients.graphs) == 1


def test_where_sizes_vary_nothing_grows(
    tiny_model: Any, make_batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "COUNTED", 2)
    sizes = [(64, 64 + 32 * index) for index in range(5)]
    batches = [make_batch([1, 2], size=size) for size in sizes]
    gradients = train(tiny_model(), batches, never)[0]._gradients
    assert len(gradients._seen) <= 2 and not gradients.constants._known


@pytest.mark.needs_cuda
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("path", [PLUS_PLUS, DENSE])
def test_a_cuda_graph(
    tiny_model: Any, make_batch: Any, path: str, dtype: torch.dtype | None
) -> None:
    """The losses of the same steps, recorded and not; their kernels add up in any order."""
    device = torch.device("cuda", 0)
    model = tiny_model(path, schemes=[SCHEMES["hybrid_branch"], SCHEMES["denoising"]])
    batches = batches_of(make_batch)
    other = copy.deepcopy(model)
    trainer, losses = train(model, batches, CudaGraphs(), device, dtype)
    assert len(trainer._gradients.graphs) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphs, "WARM_UP", len(batches))
        _, expected = train(other, batches, never, device, dtype)
    found, expected = (torch.tensor(each["total_loss"]) for each in (losses, expected))
    torch.testing.assert_close(found, expected, rtol=1e-3 if dtype is None else 2e-2, atol=0)
