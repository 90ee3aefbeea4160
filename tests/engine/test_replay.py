"""Steps that were not finite are kept, and repeated."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.config import instantiate
from torch import nn

from hdetr_d2.checkpoint import read_checkpoint
from hdetr_d2.commands.replay import main
from hdetr_d2.engine.bad_step_files import BadStepFiles
from hdetr_d2.engine.config import config_text, load_config
from hdetr_d2.engine.replay import replay
from hdetr_d2.engine.trainer import seed_step
from hdetr_d2.errors import UserError
from hdetr_d2.structures import Step

CONFIG = Path(__file__).with_name("small_recipe.py")


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.pth"))


def test_so_many_bad_steps_are_kept(
    make_trainer: Any, make_toy: Any, make_item: Any, tmp_path: Path
) -> None:
    model = make_toy()
    files = BadStepFiles(str(tmp_path), most=2, model=model, metadata={"config": "text"})
    good, bad = [make_item(1, 2)], [make_item(77, 3, colour=math.inf)]
    batches = [good, bad, good, bad, bad]
    trainer = make_trainer(
        model=model, bad_step_files=files, make_loader=lambda start: iter(batches)
    )
    trainer.train(0, 5)
    assert names(tmp_path / "bad_steps") == [
        "0000001/process_0.pth",
        "0000001/weights.pth",
        "0000003/process_0.pth",
        "0000003/weights.pth",
    ]
    weights = read_checkpoint(tmp_path / "bad_steps" / "0000003" / "weights.pth")
    assert weights["metadata"] == {"config": "text", "iteration": 3}
    assert torch.equal(
        weights["model"]["head.weight"], model.head.weight
    )  # 2 was the last good one


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return instantiate(load_config(str(CONFIG), ["data.num_classes=3"]).model)


def kept(folder: Path, model: nn.Module, batches: list[list[dict]]) -> Path:
    text = config_text(load_config(str(CONFIG), ["data.num_classes=3"]))
    files = BadStepFiles(str(folder), most=1, model=model, metadata={"config": text})
    files.keep(5, batches, seed=3, progress=0.25, ground_truths=4.0)
    return folder / "bad_steps" / "0000005"


def test_a_step_is_repeated_to_the_bit(model: nn.Module, make_batch: Any, tmp_path: Path) -> None:
    batches = [make_batch([2]), make_batch([1, 1])]
    replayed = replay(kept(tmp_path, model, batches), device="cpu")
    seed_step(3, 5, 0)
    truths = torch.tensor(4.0)
    both = [model.train()(batch, Step(truths, len(batch) / 3, 0.25)) for batch in batches]
    assert replayed.losses == {
        name: (both[0][name].item() + both[1][name].item()) for name in both[0]
    }
    assert replayed.output is replayed.gradient is None


def test_the_first_numbers_that_are_not_finite_are_named(
    model: nn.Module, make_batch: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (item,) = make_batch([2])
    bad = {**item, "image": torch.full((3, 64, 96), math.nan)}
    assert main([str(kept(tmp_path, model, [[bad]])), "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["loss_class", "nan"] for line in lines)
    first, gradient = (line.rpartition(" ")[2] for line in lines[-2:])
    assert first.startswith("backbone.") and gradient.startswith("backbone.")


def test_what_is_not_there_is_a_sentence(model: nn.Module, make_batch: Any, tmp_path: Path) -> None:
    folder = kept(tmp_path, model, [make_batch([1])])
    with pytest.raises(UserError, match="process_7.pth does not exist: train.keep_bad_steps=3"):
        replay(folder, process=7, device="cpu")
    (folder / "process_0.pth").write_bytes(b"nothing")
    with pytest.raises(UserError, match="process_0.pth cannot be read"):
        replay(folder, device="cpu")


@pytest.mark.slow
def test_a_step_of_a_sharded_training_is_kept_whole(
    run_twice: Callable[..., None], tmp_path: Path
) -> None:
    run_twice(Path(__file__).with_name("two_processes_kept.py"), tmp_path)
    folders = [tmp_path / way / "bad_steps" / "0000001" for way in ("ddp", "fsdp2")]
    files = ["process_0.pth", "process_1.pth", "weights.pth"]
    assert all(names(folder) == files for folder in folders)
    replicas, sharded = (read_checkpoint(folder / "weights.pth")["model"] for folder in folders)
    assert replicas.keys() == sharded.keys()
    for name, weight in replicas.items():
        assert torch.allclose(sharded[name], weight, rtol=0, atol=1e-6), name
    good, bad = (replay(folders[1], process=rank, device="cpu") for rank in range(2))
    assert good.losses == pytest.approx(replay(folders[0], device="cpu").losses, rel=1e-5)
    assert good.output is good.gradient is None
    assert math.isnan(bad.losses["loss_class"])
    assert bad.output is not None and bad.output.startswith("backbone.")
    assert bad.gradient is not None and bad.gradient.startswith("backbone.")
