"""DetectionCheckpointer."""

import hdetr_d2  # noqa: F401

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.checkpoint import Checkpointer, DetectionCheckpointer, PeriodicCheckpointer
from torch import nn


def model(width: int = 2) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.Linear(width, 1))


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def saved(folder: Path, **extra: Any) -> nn.Module:
    """A model whose checkpoint "model_a" lies in the folder."""
    net = model()
    DetectionCheckpointer(net, str(folder)).save("model_a", **extra)
    return net


class TestSave:
    def test_files(self, tmp_path):
        saved(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"model_a.pth", "last_checkpoint"}
        assert (tmp_path / "last_checkpoint").read_text() == "model_a.pth"

    def test_contents(self, tmp_path):
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        DetectionCheckpointer(net, str(tmp_path), optimizer=optimizer).save("a", iteration=7)
        content = torch.load(tmp_path / "a.pth", weights_only=True)
        assert set(content) == {"model", "optimizer", "iteration"}
        assert set(content["model"]) == set(net.state_dict())

    @pytest.mark.parametrize("options", [{"save_to_disk": False}, {"save_dir": ""}])
    def test_nothing_is_written(self, tmp_path, monkeypatch, options):
        monkeypatch.chdir(tmp_path)
        options = {"save_dir": str(tmp_path)} | options
        DetectionCheckpointer(model(), **options).save("a")
        assert list(tmp_path.iterdir()) == []

    def test_is_a_checkpointer(self):
        assert issubclass(DetectionCheckpointer, Checkpointer)
        with pytest.raises(KeyError):
            DetectionCheckpointer(model(), x=model()).add_checkpointable("x", model())


class TestLoad:
    def test_weights_and_extras(self, tmp_path):
        net, other = saved(tmp_path, iteration=7, note="a"), model()
        rest = DetectionCheckpointer(other).load(str(tmp_path / "model_a.pth"))
        assert same_weights(net, other)
        assert rest["iteration"] == 7
        assert rest["note"] == "a"

    def test_empty_path_loads_nothing(self):
        assert DetectionCheckpointer(model()).load("") == {}

    def test_missing_file(self, tmp_path):
        with pytest.raises(AssertionError, match="none.pth"):
            DetectionCheckpointer(model()).load(str(tmp_path / "none.pth"))

    def test_bare_state_dict(self, tmp_path):
        net, other = model(), model()
        torch.save(net.state_dict(), tmp_path / "bare.pth")
        DetectionCheckpointer(other).load(str(tmp_path / "bare.pth"))
        assert same_weights(net, other)

    def test_prefix_of_a_wrapped_model(self, tmp_path):
        net, other = model(), model()
        torch.save(
            {"model": {f"module.{k}": v for k, v in net.state_dict().items()}}, tmp_path / "w.pth"
        )
        DetectionCheckpointer(other).load(str(tmp_path / "w.pth"))
        assert same_weights(net, other)

    def test_other_shapes_are_skipped_and_named(self, tmp_path, caplog):
        saved(tmp_path)
        other = model(width=5)
        before = other[0].weight.clone()
        with caplog.at_level(logging.WARNING):
            DetectionCheckpointer(other).load(str(tmp_path / "model_a.pth"))
        assert torch.equal(other[0].weight, before)
        assert "0.weight" in caplog.text
        assert "(2, 3)" in caplog.text
        assert "(5, 3)" in caplog.text

    def test_missing_and_unexpected_keys_are_named(self, tmp_path, caplog):
        torch.save(
            {"model": {"0.weight": torch.ones(2, 3), "extra": torch.ones(1)}}, tmp_path / "p.pth"
        )
        with caplog.at_level(logging.WARNING):
            DetectionCheckpointer(model()).load(str(tmp_path / "p.pth"))
        assert "extra" in caplog.text
        assert "1." in caplog.text

    def test_normalisation_may_be_missing(self, tmp_path, caplog):
        net = model()
        torch.save({"model": net.state_dict()}, tmp_path / "p.pth")
        net.register_buffer("pixel_mean", torch.zeros(3))
        with caplog.at_level(logging.WARNING):
            DetectionCheckpointer(net).load(str(tmp_path / "p.pth"))
        assert "pixel_mean" not in caplog.text

    def test_checkpointables_by_choice(self, tmp_path):
        net, first, second = model(), nn.Linear(1, 1), nn.Linear(1, 1)
        DetectionCheckpointer(net, str(tmp_path), first=first, second=second).save("a")
        a, b = nn.Linear(1, 1), nn.Linear(1, 1)
        before = b.weight.clone()
        checkpointer = DetectionCheckpointer(model(), first=a, second=b)
        rest = checkpointer.load(str(tmp_path / "a.pth"), checkpointables=["first"])
        assert torch.equal(a.weight, first.weight)
        assert torch.equal(b.weight, before)
        assert "second" in rest

    def test_numpy_weights(self, tmp_path):
        net = nn.Linear(1, 1)
        checkpoint = {"model": {k: v.numpy() for k, v in net.state_dict().items()}}
        other = nn.Linear(1, 1)
        DetectionCheckpointer(other)._load_model(checkpoint)
        assert same_weights(net, other)


class TestResume:
    def test_resumes_the_last_one(self, tmp_path):
        saved(tmp_path)
        net = model()
        DetectionCheckpointer(net, str(tmp_path)).save("model_b", iteration=3)
        other = model()
        checkpointer = DetectionCheckpointer(other, str(tmp_path))
        assert checkpointer.has_checkpoint()
        assert checkpointer.get_checkpoint_file() == str(tmp_path / "model_b.pth")
        assert len(checkpointer.get_all_checkpoint_files()) == 2
        assert checkpointer.resume_or_load("no_such_file.pth", resume=True)["iteration"] == 3
        assert same_weights(net, other)

    def test_nothing_to_resume_loads_the_path(self, tmp_path):
        net, other = saved(tmp_path), model()
        empty = tmp_path / "empty"
        empty.mkdir()
        checkpointer = DetectionCheckpointer(other, str(empty))
        assert not checkpointer.has_checkpoint()
        checkpointer.resume_or_load(str(tmp_path / "model_a.pth"), resume=True)
        assert same_weights(net, other)

    def test_without_resume_only_the_model_is_loaded(self, tmp_path):
        net, part, other_part = model(), nn.Linear(1, 1), nn.Linear(1, 1)
        DetectionCheckpointer(net, str(tmp_path), part=part).save("a", iteration=3)
        before = other_part.weight.clone()
        checkpointer = DetectionCheckpointer(model(), str(tmp_path), part=other_part)
        checkpointer.resume_or_load(str(tmp_path / "a.pth"), resume=False)
        assert torch.equal(other_part.weight, before)


def test_subclass_may_read_other_formats(tmp_path):
    class Own(DetectionCheckpointer):
        def _load_file(self, filename: str) -> dict[str, Any]:
            return {"model": {"weight": torch.full((1, 1), 4.0)}, "seen": filename}

    (tmp_path / "x.own").write_text("")
    net = nn.Linear(1, 1)
    assert Own(net).load(str(tmp_path / "x.own"))["seen"].endswith("x.own")
    assert net.weight.item() == 4


def test_periodic_checkpointer(tmp_path):
    periodic = PeriodicCheckpointer(
        DetectionCheckpointer(model(), str(tmp_path)), period=2, max_iter=5, max_to_keep=1
    )
    for iteration in range(5):
        periodic.step(iteration)
    names = sorted(path.name for path in tmp_path.glob("*.pth"))
    assert names == ["model_0000003.pth", "model_final.pth"]
