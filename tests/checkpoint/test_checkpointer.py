import logging
import multiprocessing
import os
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from hdetr_d2.checkpoint import Checkpointer, load_for_inference, read_checkpoint
from hdetr_d2.checkpoint.weights import put_weights
from hdetr_d2.errors import UserError


class Detector(nn.Module):
    """A body and a class head, with the interface that the checkpointer knows."""

    def __init__(self, classes: int = 3, width: int = 4) -> None:
        super().__init__()
        self.body = nn.Linear(2, width)
        self.class_head = nn.Linear(width, classes)

    def class_head_keys(self) -> set[str]:
        return {"class_head"}

    def training_only_keys(self) -> set[str]:
        return {"slots"}


def filled(model: nn.Module, value: float) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


def values(model: nn.Module) -> set[float]:
    return {value for p in model.parameters() for value in p.flatten().tolist()}


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters())


def save(folder: Path, model: nn.Module, name: str = "m", **extra: object) -> str:
    Checkpointer(model, str(folder), optimizer=adam(model)).save(name, **extra)
    return str(folder / f"{name}.pth")


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    model = filled(Detector(), 0.5)
    optimizer = adam(model)
    model.body(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    saved = Checkpointer(model, str(tmp_path), metadata={"class_names": ["a"]}, optimizer=optimizer)
    saved.save("model_0000007", iteration=7, best_metric=0.5)

    other = Detector()
    other_optimizer = adam(other)
    checkpointer = Checkpointer(other, str(tmp_path), optimizer=other_optimizer)
    assert checkpointer.has_checkpoint()
    metadata = checkpointer.resume_or_load("", resume=True)
    assert metadata == {"class_names": ["a"], "iteration": 7, "best_metric": 0.5}
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    states = [o.state_dict()["state"] for o in (optimizer, other_optimizer)]
    assert states[0].keys() == states[1].keys()
    for index, state in states[0].items():
        assert all(torch.equal(value, states[1][index][name]) for name, value in state.items())


def test_a_file_holds_no_code(tmp_path: Path) -> None:
    path = save(tmp_path, Detector(), iteration=1)
    assert set(torch.load(path, weights_only=True)) == {"model", "optimizer", "metadata"}


def test_what_is_not_plain_is_refused_and_leaves_the_last_one(tmp_path: Path) -> None:
    save(tmp_path, filled(Detector(), 1.0), iteration=1)
    with pytest.raises(TypeError, match=r"checkpoint\['metadata'\]\['where'\] is a PosixPath"):
        save(tmp_path, filled(Detector(), 2.0), where=tmp_path)
    assert values_of(tmp_path / "m.pth") == {1.0}


def values_of(path: Path) -> set[float]:
    model = Detector()
    load_for_inference(model, path)
    return values(model)


def test_weights_alone_are_nothing_to_resume_from(tmp_path: Path) -> None:
    save(tmp_path, Detector(), "model_0000001")
    model = filled(Detector(), 3.0)
    Checkpointer(model, str(tmp_path)).save_weights("model_best", model.state_dict(), iteration=2)
    assert (tmp_path / "last_checkpoint").read_text() == "model_0000001.pth"
    assert values_of(tmp_path / "model_best.pth") == {3.0}


def test_only_the_process_that_writes_writes(tmp_path: Path) -> None:
    Checkpointer(Detector(), str(tmp_path), save_to_disk=False).save("m")
    assert os.listdir(tmp_path) == []


def test_last_checkpoint_must_name_a_file(tmp_path: Path) -> None:
    save(tmp_path, Detector())
    (tmp_path / "m.pth").unlink()
    with pytest.raises(UserError, match=r"last_checkpoint names 'm.pth', which is not there"):
        Checkpointer(Detector(), str(tmp_path)).resume_or_load("")


def test_nothing_to_load(tmp_path: Path) -> None:
    checkpointer = Checkpointer(Detector(), str(tmp_path))
    assert not checkpointer.has_checkpoint()
    assert checkpointer.load("") == {}


def test_a_new_class_head_keeps_its_initial_values_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path, filled(Detector(classes=3), 1.0))
    model = filled(Detector(classes=5), 2.0)
    with caplog.at_level(logging.WARNING, "hdetr_d2"):
        Checkpointer(model).load(path, checkpointables=[])
    assert values(model.body) == {1.0}
    assert values(model.class_head) == {2.0}
    assert "class_head.weight: (3, 4) in the file, (5, 4) in the model" in caplog.text
    assert "class_head.bias: (3,) in the file, (5,) in the model" in caplog.text


def test_a_head_that_fits_is_loaded(tmp_path: Path) -> None:
    path = save(tmp_path, filled(Detector(), 1.0))
    model = filled(Detector(), 2.0)
    Checkpointer(model).load(path, checkpointables=[])
    assert values(model) == {1.0}


def with_slots(model: nn.Module) -> nn.Module:
    """What only training uses."""
    model.slots = nn.Linear(1, 1)
    return filled(model, 1.0)


def test_weights_alone_are_without_what_only_training_uses(tmp_path: Path) -> None:
    model = with_slots(Detector())
    Checkpointer(model, str(tmp_path)).save_weights("model_best", model.state_dict())
    assert set(read_checkpoint(tmp_path / "model_best.pth")["model"]) == set(
        Detector().state_dict()
    )


def test_evaluation_does_not_ask_for_what_only_training_uses(tmp_path: Path) -> None:
    assert values_of(Path(save(tmp_path, with_slots(Detector())))) == {1.0}
    path = save(tmp_path, filled(Detector(), 2.0))
    model = with_slots(Detector())
    load_for_inference(model, path)
    assert (values(model.body), values(model.slots)) == ({2.0}, {1.0})


def test_a_start_goes_from_one_scheme_to_another_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = save(tmp_path, filled(Detector(), 2.0), "plain")
    model = with_slots(Detector())
    with caplog.at_level(logging.WARNING, "hdetr_d2"):
        Checkpointer(model).load(plain, checkpointables=[])
    assert (values(model.body), values(model.slots)) == ({2.0}, {1.0})
    assert "2 missing in the file (slots.bias, slots.weight)" in caplog.text
    Checkpointer(Detector()).load(save(tmp_path, model), checkpointables=[])


@pytest.mark.parametrize("checkpointables", [None, []])
def test_every_other_key_that_does_not_fit_is_listed(
    tmp_path: Path, checkpointables: list[str] | None
) -> None:
    saved = filled(Detector(width=6), 1.0)
    saved.extra = nn.Linear(1, 1)
    path = save(tmp_path, saved)
    model = Detector()
    model.added = nn.Linear(1, 1)
    with pytest.raises(UserError) as error:
        Checkpointer(model).load(path, checkpointables=checkpointables)
    text = str(error.value)
    assert "2 missing in the file (added.bias, added.weight)" in text
    assert "2 unknown to the model (extra.bias, extra.weight)" in text
    assert "body.weight: (6, 2) in the file, (4, 2) in the model" in text
    assert "\n" not in text


def test_a_resume_wants_the_class_head_too(tmp_path: Path) -> None:
    path = save(tmp_path, Detector(classes=3))
    with pytest.raises(UserError, match=r"class_head.bias: \(3,\) in the file, \(5,\) in the mod"):
        Checkpointer(Detector(classes=5)).load(path)
    with pytest.raises(UserError, match=r"class_head.bias"):
        load_for_inference(Detector(classes=5), path)


def test_a_resume_wants_every_state(tmp_path: Path) -> None:
    Checkpointer(Detector(), str(tmp_path)).save("bare")
    model = Detector()
    with pytest.raises(UserError, match="bare.pth holds no state of the optimizer"):
        Checkpointer(model, optimizer=adam(model)).load(str(tmp_path / "bare.pth"))


def test_the_state_of_another_optimizer_is_a_sentence(tmp_path: Path) -> None:
    path = save(tmp_path, Detector())
    model = Detector()
    optimizer = adam(model.body)
    with pytest.raises(UserError, match=r"m.pth: the state of the optimizer does not fit"):
        Checkpointer(model, optimizer=optimizer).load(path)


def test_the_average_is_what_others_start_from(tmp_path: Path) -> None:
    model = filled(Detector(), 1.0)
    average = torch.optim.swa_utils.AveragedModel(filled(Detector(), 2.0))
    Checkpointer(model, str(tmp_path), ema=average).save("m")
    path = str(tmp_path / "m.pth")
    assert values_of(tmp_path / "m.pth") == {2.0}
    fresh, resumed = Detector(), Detector()
    Checkpointer(fresh).load(path, checkpointables=[])
    Checkpointer(resumed).load(path)
    assert (values(fresh), values(resumed)) == ({2.0}, {1.0})


def save_for_ever(folder: str) -> None:
    model = nn.Linear(300, 300)
    checkpointer = Checkpointer(model, folder)
    for step in range(100_000):
        filled(model, step)
        checkpointer.save(f"model_{step % 3}", iteration=step)


def saved_at(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_kill_at_any_moment_leaves_a_whole_last_checkpoint(tmp_path: Path) -> None:
    last, steps = tmp_path / "last_checkpoint", 0
    for round_number in range(12):
        process = multiprocessing.get_context("fork").Process(
            target=save_for_ever, args=(str(tmp_path),)
        )
        before = saved_at(last)
        process.start()
        while saved_at(last) == before:
            time.sleep(0.001)
        # Another phase of the loop each time.
        time.sleep(0.02 + 0.00137 * round_number)
        process.kill()
        process.join()
        content = read_checkpoint(tmp_path / last.read_text())
        step = content["metadata"]["iteration"]
        assert set(content["model"]["weight"].flatten().tolist()) == {float(step)}
        assert content["model"]["bias"].tolist() == [float(step)] * 300
        steps += step
    assert steps > 0, "the kills all came at the first saves"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_weight_that_is_no_finite_number_is_named(bad: float) -> None:
    model = nn.Linear(2, 1)
    weights = {"weight": torch.tensor([[1.0, bad]]), "bias": torch.ones(1)}
    with pytest.raises(UserError, match="^a.pth contains weights that are not finite: weight$"):
        put_weights(model, weights, "a.pth")
    assert model.weight.isfinite().all()
