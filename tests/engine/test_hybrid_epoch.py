"""The hybrid epoch in a training: it switches over at its iteration, also in a resumed run."""

from pathlib import Path

import pytest
from torch import Tensor

from hdetr_d2.engine.main import main
from hdetr_d2.matching import HungarianMatcher
from hdetr_d2.structures import GroupOutput

CONFIG = str(Path(__file__).with_name("small_recipe.py"))
ITERATIONS = 8
REPEATS = 3


@pytest.fixture
def capacities(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many queries a target could take, in every step that is made."""
    forward, seen = HungarianMatcher.forward, list[int]()

    def remember(
        matcher: HungarianMatcher, outputs: list[GroupOutput], *more: object
    ) -> list[Tensor]:
        seen.append(outputs[0].group.assigner.capacity[-1])
        return forward(matcher, outputs, *more)

    monkeypatch.setattr(HungarianMatcher, "forward", remember)
    return seen


@pytest.mark.parametrize("until", [0.25, 0.75])
def test_it_switches_over_at_its_iteration(
    capacities: list[int], tmp_path: Path, until: float
) -> None:
    scheme = f"{{_target_:hdetr_d2.schemes.HybridEpoch,repeats:{REPEATS},until:{until}}}"
    options = [f"train.max_iter={ITERATIONS}", f"model.schemes=[{scheme}]"]
    options += ["train.checkpoint.period_epochs=0.25", f"train.checkpoint.keep={ITERATIONS}"]
    options += [f"data.generate.root={tmp_path}/data", f"train.output_dir={tmp_path}/out"]
    # A name stands for one data set in a process.
    options += [f"data.{split}_name={split}_until_{until}" for split in ("train", "val")]
    switch = int(until * ITERATIONS)
    expected = [REPEATS] * switch + [1] * (ITERATIONS - switch)
    assert main(["--config-file", CONFIG, *options]) == 0
    assert capacities == expected
    # As if the run had been killed in the middle.
    (tmp_path / "out" / "last_checkpoint").write_text("model_0000004.pth")
    assert main(["--config-file", CONFIG, "--resume", *options]) == 0
    assert capacities[ITERATIONS:] == expected[4:]
