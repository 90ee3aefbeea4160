"""tools/compare_schemes.py: runs, table and picture."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

SMALL = ["train.max_iter=5", "train.log_period=1", "dataloader.train.num_workers=0"]
SMALL += ["dataloader.test.num_workers=0", "train.device=cpu"]
SMALL += [f"data.generate.{option}" for option in ("num_train=4", "num_val=2", "image_size=64")]
SMALL += ["model.neck.out_channels=32", "model.encoder.sizes.feedforward_dim=32"]


@pytest.fixture
def script() -> ModuleType:
    return importlib.import_module("hdetr_d2.commands.compare_schemes")


def test_a_scheme_is_trained_and_judged(script: ModuleType, tmp_path: Path) -> None:
    output = tmp_path / "out"
    given = [str(output), "--schemes", "hybrid_branch", "--seeds", "1"]
    given += ["--set", *SMALL, f"data.generate.root={tmp_path}/shapes"]
    assert script.main(given) == 0
    rows = (output / "table.md").read_text().splitlines()
    assert [cell.strip() for cell in rows[0].split("|")[1:-1]] == list(script.COLUMNS)
    cells = [cell.strip() for cell in rows[2].split("|")[1:-1]]
    assert cells[:2] == ["hybrid_branch", "0.0"]
    assert float(cells[-2]) > 0 and float(cells[-1]) > 0
    assert Image.open(output / "ap.png").format == "PNG"
    assert (output / "hybrid_branch" / "seed_1" / "model_final.pth").is_file()


def test_spread(script: ModuleType) -> None:
    assert script.spread([40.0, 42.0]) == "41.0 ± 1.4"
    assert script.spread([1234.4], 0) == "1234"
    assert script.spread([]) == ""


def test_an_unknown_scheme_is_one_sentence(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        script.main([str(tmp_path), "--schemes", "hybrid_tree"])
    assert "has no contenders ['hybrid_tree']" in capsys.readouterr().err
