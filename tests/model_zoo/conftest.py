import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import pytest
import torch
from detectron2.config import LazyConfig, instantiate

from hdetr_d2.engine.config import config_text
from hdetr_d2.modeling.backbone import without_pretrained
from hdetr_d2.runtime import Predictor

sys.path.insert(0, str(Path(__file__).parent))
import fake_hub

CONFIG = Path(__file__).resolve().parents[2] / "configs/quickstart/deformable_detr_shapes.py"
NAMES = ["circle", "a square", "triangle"]


@pytest.fixture(scope="session")
def checkpoint(shrink: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small quickstart model with random weights and a moving average of others, as training
    saves it, alone in its folder.
    """
    cfg = shrink(LazyConfig.load(str(CONFIG)))
    cfg.data.num_classes, cfg.data.class_names = len(NAMES), NAMES
    torch.manual_seed(0)
    with without_pretrained():
        weights, average = (instantiate(cfg.model).state_dict() for _ in range(2))
    metadata = {"config": config_text(cfg), "class_names": NAMES, "iteration": 20, "run": "0a1b"}
    path = tmp_path_factory.mktemp("run") / "model_final.pth"
    ema = {"n_averaged": torch.tensor(9)} | {f"module.{key}": average[key] for key in average}
    torch.save({"model": weights, "ema": ema, "metadata": metadata}, path)
    return path


@pytest.fixture(scope="session")
def predictor(checkpoint: Path) -> Predictor:
    return Predictor(checkpoint, device="cpu")


@pytest.fixture(scope="session")
def shared(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the predictor's model."""
    folder = tmp_path_factory.mktemp("shared") / "shapes"
    predictor.save_pretrained(folder)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_hub.FakeHub]:
    """A hub that huggingface_hub takes for the only one, an empty cache, and a token."""
    constants = huggingface_hub.constants
    with fake_hub.running() as hub:
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setenv("HF_TOKEN", fake_hub.TOKEN)
        yield hub
