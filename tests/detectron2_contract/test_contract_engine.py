"""The simple trainer, and what scripts start with."""

import hdetr_d2  # noqa: F401

import argparse
import json
from pathlib import Path

import pytest
import torch
import yaml
from detectron2.engine import (
    SimpleTrainer,
    create_ddp_model,
    default_argument_parser,
    default_setup,
    default_writers,
    hooks,
    launch,
)
from detectron2.utils.events import EventStorage
from omegaconf import OmegaConf
from torch import Tensor, nn


class Quadratic(nn.Module):
    """Two losses of one weight: w^2 and 2 w."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, data: float) -> dict[str, Tensor]:
        return {"loss_a": data * self.weight**2, "loss_b": data * 2 * self.weight}


class OneLoss(nn.Module):
    """The loss w^2."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, data: float) -> Tensor:
        return data * self.weight**2


def trainer_of(model: nn.Module, data: list[float], lr: float = 0.1, **kwargs) -> SimpleTrainer:
    return SimpleTrainer(model, data, torch.optim.SGD(model.parameters(), lr=lr), **kwargs)


@pytest.mark.parametrize("before", [True, False])
def test_a_step_adds_up_the_losses_and_follows_the_gradient(before: bool) -> None:
    model = Quadratic().eval()
    trainer = trainer_of(model, [1.0, 1.0], zero_grad_before_forward=before)
    assert model.training
    trainer.train(0, 2)
    # w = 1 - 0.1 (2 + 2) = 0.6, then 0.6 - 0.1 (1.2 + 2) = 0.28
    assert model.weight.item() == pytest.approx(0.28)
    latest = trainer.storage.latest()
    assert latest["loss_a"] == (pytest.approx(0.36), 1)
    assert latest["loss_b"] == (pytest.approx(1.2), 1)
    assert latest["total_loss"] == (pytest.approx(1.56), 1)
    assert latest["data_time"][0] >= 0


def test_a_single_loss_is_the_total() -> None:
    trainer = trainer_of(OneLoss(), [3.0])
    trainer.train(0, 1)
    assert trainer.storage.latest()["total_loss"] == (3.0, 0)


def test_gradients_are_there_after_the_backward_pass() -> None:
    seen: list[float] = []
    model = Quadratic()
    trainer = trainer_of(model, [1.0])

    class Look(hooks.CallbackHook):
        def after_backward(self) -> None:
            assert model.weight.grad is not None
            seen.append(model.weight.grad.item())

    trainer.register_hooks([Look()])
    trainer.train(0, 1)
    assert seen == [4.0]


def test_metrics_are_gathered_periodically() -> None:
    trainer = trainer_of(Quadratic(), [1.0] * 6, gather_metric_period=3)
    trainer.train(0, 6)
    assert [i for _, i in trainer.storage.history("total_loss").values()] == [2, 5]


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    with pytest.raises(FloatingPointError, match=r"iteration.1[\s\S]*loss_a"):
        trainer_of(Quadratic(), [1.0, float("nan")]).train(0, 2)


def test_a_model_in_eval_mode_is_refused() -> None:
    model = Quadratic()
    trainer = trainer_of(model, [1.0])
    model.eval()
    with pytest.raises(AssertionError, match="eval mode"):
        trainer.train(0, 1)


def test_state_of_the_trainer() -> None:
    model = Quadratic()
    trainer = SimpleTrainer(model, [1.0] * 3, torch.optim.Adam(model.parameters(), lr=0.1))
    trainer.train(0, 3)
    state = trainer.state_dict()
    other_model = Quadratic()
    other = SimpleTrainer(other_model, [], torch.optim.Adam(other_model.parameters(), lr=0.5))
    other.load_state_dict(state)
    assert other.iter == 3
    assert other.optimizer.param_groups[0]["lr"] == 0.1
    assert other.optimizer.state_dict()["state"][0]["step"] == 3


def test_the_loader_can_be_replaced() -> None:
    model = OneLoss()
    trainer = trainer_of(model, [1.0, 1.0, 1.0], lr=0.0)
    trainer.train(0, 1)
    trainer.reset_data_loader(lambda: [5.0])
    trainer.train(1, 2)
    assert trainer.storage.latest()["total_loss"] == (5.0, 1)


def test_one_process_is_run_in_this_one() -> None:
    seen: list[int] = []
    launch(seen.append, 1, args=(5,))
    assert seen == [5]


def test_one_process_needs_no_distributed_model() -> None:
    model = Quadratic()
    assert create_ddp_model(model) is model


def test_arguments() -> None:
    parser = default_argument_parser()
    args = parser.parse_args(["--config-file", "c.py", "--resume", "--num-gpus", "2", "a.b=1", "c"])
    assert (args.config_file, args.resume, args.num_gpus) == ("c.py", True, 2)
    assert args.opts == ["a.b=1", "c"]
    default = parser.parse_args([])
    assert (default.config_file, default.resume, default.eval_only) == ("", False, False)
    assert (default.num_gpus, default.num_machines, default.machine_rank) == (1, 1, 0)
    assert default.dist_url.startswith("tcp://127.0.0.1:")
    assert default.opts == []
    assert "my own words" in default_argument_parser(epilog="my own words").format_help()


def test_setup_leaves_config_and_log_and_sets_the_seed(tmp_path: Path) -> None:
    config_file = tmp_path / "config_of_mine.py"
    config_file.write_text("train = dict(seed=5)\n")
    output = tmp_path / "deep" / "output"
    cfg = OmegaConf.create(
        {"train": {"output_dir": str(output), "seed": 5, "cudnn_benchmark": False}, "lr": 0.1}
    )
    args = argparse.Namespace(config_file=str(config_file), eval_only=False)
    drawn = []
    for _ in range(2):
        default_setup(cfg, args)
        drawn.append(torch.rand(3).tolist())
    assert drawn[0] == drawn[1]
    saved = yaml.safe_load((output / "config.yaml").read_text())
    assert saved["train"]["seed"] == 5
    assert saved["lr"] == 0.1
    log = (output / "log.txt").read_text()
    assert "Environment" in log
    assert "config_of_mine.py" in log


def test_writers_leave_their_files(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    writers = default_writers(str(folder), max_iter=2)
    with EventStorage(0) as storage:
        for iteration in range(2):
            storage.iter = iteration
            storage.put_scalars(loss=2.0 - iteration, time=0.1)
            storage.put_scalar("lr", 0.5, smoothing_hint=False)
            for writer in writers:
                writer.write()
    for writer in writers:
        writer.close()
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [0, 1]
    assert [line["lr"] for line in lines] == [0.5, 0.5]
    assert lines[1]["loss"] == 1.5  # the median of both
    assert any(path.name.startswith("events.out.tfevents") for path in folder.iterdir())
