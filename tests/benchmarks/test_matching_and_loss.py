"""All sides compute the same losses and gradients; the official code is played by a small one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from assignment_cases import Group
from matching_and_loss import OFFICIAL, OURS, PUBLISHED, check_losses, main, required
from matching_and_loss_cases import PROPOSALS, SMOKE_GROUPS, draw_step
from matching_and_loss_official import load_official
from matching_and_loss_published import published
from matching_and_loss_sides import Contender, ours


def one_loss(value: float, name: str = "loss_bbox") -> Contender:
    return Contender(lambda: {name: torch.tensor(value)}, [])


@pytest.mark.parametrize("targets", [1, 4])
def test_published_expressions_have_our_losses_and_gradients(targets: int) -> None:
    outputs = draw_step(SMOKE_GROUPS, targets, "cpu")
    sides = {OURS: ours(outputs), PUBLISHED: published(outputs)}
    check_losses(sides)
    theirs = iter(sides[PUBLISHED].forward_and_backward())
    own = iter(sides[OURS].forward_and_backward())
    for output in outputs:
        layers = [(next(theirs), next(theirs)) for _ in output.group.assigner.capacity]
        for part in zip(*layers, strict=True):
            torch.testing.assert_close(torch.stack(part), next(own), rtol=1e-4, atol=1e-6)
    assert next(theirs, None) is next(own, None) is None


def test_a_step_has_what_it_learns() -> None:
    first, many, proposals = draw_step(SMOKE_GROUPS, 2, "cpu")
    assert (first.group.name, many.group.name, proposals.group.name) == ("", "one2many", PROPOSALS)
    assert not proposals.targets.labels.any()
    assert many.group.assigner.capacity == (6,)
    assert all(o.predictions.logits.requires_grad for o in (first, many, proposals))


def test_other_losses_end_the_run() -> None:
    check_losses({OURS: one_loss(1.0), "peer": one_loss(1.00005)})
    with pytest.raises(SystemExit, match="loss_bbox is 1, but 1.001 in peer"):
        check_losses({OURS: one_loss(1.0), "peer": one_loss(1.001)})
    with pytest.raises(SystemExit, match="loss_bbox is 1, but nan in peer"):
        check_losses({OURS: one_loss(1.0), "peer": one_loss(float("nan"))})
    with pytest.raises(SystemExit, match="peer has other losses than we"):
        check_losses({OURS: one_loss(1.0), "peer": one_loss(1.0, "loss_giou")})


def test_only_the_official_code_is_required_to_be_slower() -> None:
    asked = [required("cpu", "forward + backward", 100, peer) for peer in (OFFICIAL, PUBLISHED)]
    assert asked == ["at least 8", ""]
    assert required("cuda", "forward", 100, OFFICIAL) == ""


# Adds up what it is given, in place of losses.
CRITERION = """
from .backbone import build_backbone


class SetCriterion:
    def __init__(self, num_classes, matcher, weight_dict, losses, focal_alpha=0.25):
        assert num_classes == 91

    def __call__(self, outputs, targets):
        layers = {f"_{i}": layer for i, layer in enumerate(outputs["aux_outputs"])}
        layers[""] = outputs
        if "enc_outputs" in outputs:
            layers["_enc"] = outputs["enc_outputs"]
        parts = {"ce": "pred_logits", "bbox": "pred_boxes", "giou": "pred_boxes"}
        return {
            f"loss_{kind}{suffix}": layer[part].sum() * sum(len(t["labels"]) for t in targets)
            for suffix, layer in layers.items()
            for kind, part in parts.items()
        }
"""


def test_the_profile_names_the_parts(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--smoke", "--profile", "--threads", "1"])
    printed = capsys.readouterr().out
    assert all(f" {part} " in printed for part in ("match", "loss", "backward"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty one; what is imported from it is forgotten."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "models"]:
        del sys.modules[name]


def test_the_official_code_is_called_as_there(folder: Path) -> None:
    package = folder / "models"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "matcher.py").write_text("class HungarianMatcher:\n    __init__ = print\n")
    (package / "deformable_detr.py").write_text(CRITERION)
    groups = {"": Group(2, 4, 1), "one2many": Group(2, 6, 2), PROPOSALS: Group(1, 8, 1)}
    outputs = draw_step(groups, 3, "cpu")
    losses = load_official(folder)(outputs).losses()
    assert set(losses) == set(published(outputs).losses())
    first, many, proposals = (output.predictions for output in outputs)
    for name, weight, part, targets in (
        ("loss_class", 2, first.logits[1], 6),
        ("loss_class_0", 2, first.logits[0], 6),
        ("loss_bbox_one2many", 5, many.boxes[1], 12),
        ("loss_giou_one2many_0", 2, many.boxes[0], 12),
        ("loss_class_enc", 2, proposals.logits[0], 6),
    ):
        torch.testing.assert_close(losses[name], weight * targets * part.sum())


def test_a_folder_without_the_official_code(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--smoke", "--official", str(folder)])
    assert f"--official {folder}: No module named 'models" in capsys.readouterr().err
