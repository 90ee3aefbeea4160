import pytest

from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.shipped import shipped_config
from hdetr_d2.errors import UserError


def test_a_shipped_config_loads_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = shipped_config("deformable_detr/deformable_detr_r50_50ep.py")
    assert load_config(path).train.epochs == 50


def test_an_unknown_one_is_a_sentence():
    with pytest.raises(UserError, match="there is no config none.py among those of hdetr_d2"):
        shipped_config("none.py")
