"""LazyCall, LazyConfig and instantiate."""

import hdetr_d2  # noqa: F401

import builtins
import copy
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from detectron2.config import LazyCall, LazyConfig, instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn


def call(**arguments: Any) -> dict[str, Any]:
    return arguments


@dataclass
class Point:
    x: int = 1
    y: Any = None


@pytest.fixture
def files(tmp_path: Path):
    """Writes config files by relative path, returns the folder."""

    def write(**texts: str) -> Path:
        for name, text in texts.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


class TestLazyCall:
    def test_is_an_editable_config(self):
        node = LazyCall(nn.Linear)(in_features=2, out_features=3)
        assert isinstance(node, DictConfig)
        assert node._target_ is nn.Linear
        node.out_features = 5
        assert instantiate(node).weight.shape == (5, 2)

    def test_takes_a_dotted_path(self):
        assert instantiate(LazyCall("torch.nn.ReLU")(inplace=True)).inplace

    def test_refuses_what_is_no_callable(self):
        with pytest.raises(TypeError):
            LazyCall(3)

    def test_refuses_positional_arguments(self):
        with pytest.raises(TypeError):
            LazyCall(nn.Linear)(2, 3)

    def test_dataclass_becomes_its_name(self):
        node = LazyCall(Point)(x=4)
        assert isinstance(node._target_, str)
        assert node._target_.endswith("Point")

    def test_holds_objects(self):
        function = len
        assert LazyCall(call)(f=function).f is function


class TestInstantiate:
    def test_arguments_are_made_first(self):
        inner = LazyCall(nn.Linear)(in_features=2, out_features=2)
        made = instantiate(LazyCall(call)(model=inner, number=1.5, text="a", nothing=None))
        assert isinstance(made["model"], nn.Linear)
        assert (made["number"], made["text"], made["nothing"]) == (1.5, "a", None)

    def test_lists_of_calls(self):
        nodes = [LazyCall(nn.ReLU)(), LazyCall(nn.Linear)(in_features=1, out_features=1)]
        made = instantiate(LazyCall(call)(layers=nodes))["layers"]
        assert isinstance(made, ListConfig)
        assert [type(layer) for layer in made] == [nn.ReLU, nn.Linear]

    def test_plain_list_stays_a_list(self):
        made = instantiate([LazyCall(nn.ReLU)(), 3])
        assert type(made) is list
        assert isinstance(made[0], nn.ReLU)
        assert made[1] == 3

    def test_dict_without_target_is_left_alone(self):
        node = {"layer": {"_target_": "torch.nn.ReLU"}}
        assert instantiate(node) is node
        made = instantiate(LazyCall(call)(options={"a": {"b": [1, 2]}}))
        assert made["options"] == {"a": {"b": [1, 2]}}

    def test_calls_in_a_dict_without_target_stay_nodes(self):
        made = instantiate(LazyCall(call)(options={"layer": LazyCall(nn.ReLU)()}))
        assert not isinstance(made["options"]["layer"], nn.Module)

    @pytest.mark.parametrize("value", [3, "text", None, 1.5, (1, 2)])
    def test_other_values_come_back(self, value):
        assert instantiate(value) == value

    def test_interpolations_are_resolved(self):
        cfg = OmegaConf.create({"size": 7}, flags={"allow_objects": True})
        cfg.model = LazyCall(nn.Linear)(in_features="${size}", out_features="${..size}")
        assert instantiate(cfg.model).weight.shape == (7, 7)

    def test_config_is_not_changed(self):
        node = LazyCall(nn.Linear)(in_features=2, out_features=3)
        before = copy.deepcopy(node)
        instantiate(node)
        assert node == before

    def test_target_may_be_a_plain_dict_with_a_string(self):
        made = instantiate({"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 2})
        assert made.out_features == 2

    def test_target_may_be_a_call(self):
        maker = LazyCall(lambda factor: lambda value: factor * value)(factor=3)
        assert instantiate({"_target_": maker, "value": 4}) == 12

    def test_structured_config(self):
        cfg = OmegaConf.structured(Point(x=2, y="a"))
        made = instantiate(cfg)
        assert made == Point(2, "a")
        assert instantiate(LazyCall(call)(point=Point(5)))["point"] == Point(5)

    def test_wrong_argument_is_reported_with_the_target(self, caplog):
        with caplog.at_level(logging.ERROR), pytest.raises(TypeError):
            instantiate(LazyCall(nn.ReLU)(no_such_argument=1))
        assert "ReLU" in caplog.text

    @pytest.mark.parametrize("name", ["torch.nn.NoSuchLayer", "no_such_package.Thing"])
    def test_unknown_target(self, name):
        with pytest.raises(ImportError):
            instantiate({"_target_": name})

    def test_target_that_is_no_callable(self):
        with pytest.raises(AssertionError):
            instantiate({"_target_": "math.pi"})


class TestLoadPython:
    def test_configs_only(self, files):
        folder = files(
            a="from omegaconf import ListConfig\n"
            "train = dict(lr=0.1, steps=[1, 2])\nitems = ListConfig([1])\n"
            "_private = dict(b=1)\nnumber = 3\n"
        )
        cfg = LazyConfig.load(str(folder / "a.py"))
        assert isinstance(cfg, DictConfig)
        assert set(cfg) == {"train", "items"}
        assert cfg.train.lr == 0.1
        assert cfg.train.steps == [1, 2]

    def test_keys(self, files):
        path = str(files(a="x = dict(v=1)\ny = dict(v=2)\n_z = dict(v=3)\nn = 4") / "a.py")
        assert LazyConfig.load(path, "x").v == 1
        assert isinstance(LazyConfig.load(path, "x"), DictConfig)
        assert [node.v for node in LazyConfig.load(path, ("y", "_z"))] == [2, 3]
        assert LazyConfig.load(path, "n") == 4
        with pytest.raises(KeyError):
            LazyConfig.load(path, "missing")

    def test_relative_imports(self, files):
        folder = files(
            common__data="data = dict(size=4)\n",
            common__deep__optim="from ..data import data\nlr = dict(value=data.size)\n",
            method__main="from ..common.data import data\n"
            "from ..common.deep.optim import lr as rate\n"
            "data.size = 8\nmodel = dict(n=data.size)\n",
        )
        cfg = LazyConfig.load(str(folder / "method" / "main.py"))
        assert cfg.data.size == 8
        assert cfg.rate.value == 4  # every import runs the file anew
        assert cfg.model.n == 8

    def test_imported_dict_has_attributes(self, files):
        folder = files(
            base="options = dict(a=dict(b=1))", main="from .base import options\noptions.a.c = 2"
        )
        assert LazyConfig.load(str(folder / "main.py")).options.a == {"b": 1, "c": 2}

    def test_relative_import_does_not_need_the_working_directory(self, files, monkeypatch):
        folder = files(common__base="x = dict(v=1)", method__main="from ..common.base import x")
        monkeypatch.chdir(folder / "method")
        assert LazyConfig.load(str(folder / "method" / "main.py")).x.v == 1
        monkeypatch.chdir(folder)
        assert LazyConfig.load("method/main.py").x.v == 1

    def test_absolute_imports_work_as_ever(self, files):
        folder = files(
            a="import os.path\nfrom math import floor\nx = dict(v=floor(2.5), s=os.path.sep)"
        )
        assert LazyConfig.load(str(folder / "a.py")).x == {"v": 2, "s": os.path.sep}

    def test_import_statement_outside_is_untouched(self, files):
        before = builtins.__import__
        LazyConfig.load(str(files(a="x = dict(v=1)") / "a.py"))
        assert builtins.__import__ is before

    def test_load_rel(self, files):
        folder = files(
            odd__base="x = dict(v=1)",
            main="from detectron2.config import LazyConfig\n"
            "x = LazyConfig.load_rel('odd/base.py', 'x')\n",
        )
        assert LazyConfig.load(str(folder / "main.py")).x.v == 1

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            LazyConfig.load(str(tmp_path / "none.py"))

    def test_wrong_extension(self, tmp_path):
        (tmp_path / "a.json").write_text("{}")
        with pytest.raises(ValueError, match="a.json"):
            LazyConfig.load(str(tmp_path / "a.json"))

    def test_syntax_error_names_the_file(self, files):
        with pytest.raises(SyntaxError, match="broken.py"):
            LazyConfig.load(str(files(broken="x = = 1") / "broken.py"))
        with pytest.raises(SyntaxError, match="broken.py"):
            LazyConfig.load(str(files(main="from .broken import x") / "main.py"))

    def test_missing_import_names_the_file(self, files):
        with pytest.raises(ImportError, match="missing.py"):
            LazyConfig.load(str(files(main="from .missing import x") / "main.py"))

    @pytest.mark.parametrize("line", ["from . import base", "from .folder import x"])
    def test_importing_from_a_folder_is_refused(self, files, line):
        folder = files(base="x = dict(v=1)", folder__a="x = dict(v=1)", main=line)
        with pytest.raises(ImportError):
            LazyConfig.load(str(folder / "main.py"))


class TestSave:
    def round_trip(self, cfg: DictConfig, folder: Path) -> DictConfig:
        LazyConfig.save(cfg, str(folder / "config.yaml"))
        return LazyConfig.load(str(folder / "config.yaml"))

    def config(self) -> DictConfig:
        content = {
            "size": 3,
            "model": LazyCall(nn.Linear)(in_features="${size}", out_features=2, bias=False),
            "layers": [LazyCall(nn.ReLU)(), {"rate": 1e-5}],
            "text": "a: b # no comment, ü",
            "nothing": None,
            "numbers": [1, 2.5, True],
        }
        return OmegaConf.create(content, flags={"allow_objects": True})

    def test_same_content(self, tmp_path):
        cfg = self.config()
        again = self.round_trip(cfg, tmp_path)
        for key in ("size", "text", "nothing", "numbers"):
            assert again[key] == cfg[key]
        assert again.layers[1].rate == 1e-5

    def test_targets_become_public_names(self, tmp_path):
        again = self.round_trip(self.config(), tmp_path)
        assert again.model._target_ == "torch.nn.Linear"
        assert again.layers[0]._target_ == "torch.nn.ReLU"
        assert isinstance(instantiate(again.model), nn.Linear)

    def test_interpolations_stay(self, tmp_path):
        again = self.round_trip(self.config(), tmp_path)
        again.size = 11
        assert instantiate(again.model).in_features == 11

    def test_file_is_plain_yaml(self, tmp_path):
        self.round_trip(self.config(), tmp_path)
        content = yaml.safe_load((tmp_path / "config.yaml").read_text())
        assert content["model"] == {
            "_target_": "torch.nn.Linear",
            "in_features": "${size}",
            "out_features": 2,
            "bias": False,
        }
        assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]

    def test_config_is_not_changed(self, tmp_path):
        cfg = self.config()
        self.round_trip(cfg, tmp_path)
        assert cfg.model._target_ is nn.Linear

    def test_saves_a_loaded_python_config(self, files):
        folder = files(
            a="from detectron2.config import LazyCall as L\n"
            "from detectron2.layers import ShapeSpec\n"
            "from fvcore.common.param_scheduler import LinearParamScheduler as Linear\n"
            "shape = L(ShapeSpec)(channels=L(Linear)(start_value=1, end_value=0))\n"
        )
        again = self.round_trip(LazyConfig.load(str(folder / "a.py")), folder)
        assert again.shape._target_ == "detectron2.layers.ShapeSpec"
        assert instantiate(again.shape.channels)(0.0) == 1.0

    def test_what_yaml_cannot_hold_is_pickled(self, tmp_path):
        cfg = OmegaConf.create({"a": 1}, flags={"allow_objects": True})
        cfg.node = LazyCall(call)(f=lambda x: x)
        LazyConfig.save(cfg, str(tmp_path / "config.yaml"))
        assert (tmp_path / "config.yaml.pkl").exists()


def overridden(cfg: dict[str, Any], *overrides: str) -> DictConfig:
    return LazyConfig.apply_overrides(
        DictConfig(cfg, flags={"allow_objects": True}), list(overrides)
    )


class TestOverrides:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("3", 3),
            ("-3", -3),
            ("3.0", 3.0),
            ("1e-4", 1e-4),
            ("true", True),
            ("False", False),
            ("null", None),
            ("word", "word"),
            ("a/b-c.d_e", "a/b-c.d_e"),
            ("/data/coco/x.json", "/data/coco/x.json"),
            ("https://host:80/x.pth", "https://host:80/x.pth"),
            ("two words", "two words"),
            ("'3'", "3"),
            ("'a=b,c'", "a=b,c"),
            ('"it is"', "it is"),
            ("''", ""),
            ("", ""),
            ("[]", []),
            ("[1,2.5,a,null,true]", [1, 2.5, "a", None, True]),
            ("[[1,2],[3]]", [[1, 2], [3]]),
            ("{a:1,b:[x,y]}", {"a": 1, "b": ["x", "y"]}),
            ("torch.nn.ReLU", "torch.nn.ReLU"),
            ("0x", "0x"),
        ],
    )
    def test_values(self, text, value):
        result = overridden({"k": "old"}, f"k={text}").k
        assert result == value
        assert type(value) in (list, dict) or type(result) is type(value)

    def test_nested_keys(self):
        cfg = overridden({"a": {"b": {"c": 1, "d": 2}}}, "a.b.c=5")
        assert cfg == {"a": {"b": {"c": 5, "d": 2}}}

    @pytest.mark.parametrize("prefix", ["", "+", "++"])
    def test_new_keys(self, prefix):
        assert overridden({"a": {"b": 1}}, f"{prefix}a.x.y=2") == {"a": {"b": 1, "x": {"y": 2}}}

    def test_changes_in_place_and_returns_it(self):
        cfg = DictConfig({"a": 1})
        assert LazyConfig.apply_overrides(cfg, ["a=2"]) is cfg
        assert cfg.a == 2

    def test_later_ones_win(self):
        assert overridden({"a": 1}, "a=2", "a=3").a == 3

    def test_dict_is_merged_list_is_replaced(self):
        cfg = overridden({"d": {"x": 1, "y": 2}, "l": [1, 2, 3]}, "d={x:5}", "l=[9]")
        assert cfg == {"d": {"x": 5, "y": 2}, "l": [9]}

    def test_element_of_a_list(self):
        assert overridden({"l": [{"v": 1}, {"v": 2}]}, "l.1.v=7").l == [{"v": 1}, {"v": 7}]

    def test_interpolation(self):
        assert overridden({"a": 4, "b": 0}, "b=${a}").b == 4

    def test_value_amid_the_path(self):
        with pytest.raises(KeyError):
            overridden({"a": {"b": 1}}, "a.b.c=2")

    def test_none_amid_the_path_becomes_a_config(self):
        assert overridden({"a": None}, "a.b=1") == {"a": {"b": 1}}

    def test_deletion(self):
        with pytest.raises(NotImplementedError):
            overridden({"a": 1}, "~a")

    @pytest.mark.parametrize("text", ["a", "a=[1", "a='x"])
    def test_broken_grammar(self, text):
        with pytest.raises(Exception, match=r".+"):
            overridden({"a": 1}, text)

    def test_target_of_a_call(self):
        cfg = DictConfig({"m": LazyCall(nn.ReLU)()}, flags={"allow_objects": True})
        LazyConfig.apply_overrides(cfg, ["m._target_=torch.nn.GELU"])
        assert isinstance(instantiate(cfg.m), nn.GELU)


def test_to_py():
    cfg = DictConfig({"size": 3}, flags={"allow_objects": True})
    cfg.train = {"lr": 0.1, "names": ["a", "b"]}
    cfg.model = LazyCall(nn.Linear)(out_features=2, in_features="${size}")
    text = LazyConfig.to_py(cfg).replace("'", '"').replace(" ", "")
    assert text.splitlines() == [
        "cfg.model=torch.nn.Linear(in_features=3,out_features=2)",
        "cfg.size=3",
        "cfg.train.lr=0.1",
        'cfg.train.names=["a","b"]',
    ]


def test_yaml_config(tmp_path):
    (tmp_path / "a.yml").write_text(
        "model: {_target_: torch.nn.Linear, in_features: 1, out_features: 2}\n"
    )
    cfg = LazyConfig.load(str(tmp_path / "a.yml"))
    assert isinstance(cfg, DictConfig)
    assert isinstance(instantiate(cfg.model).weight, torch.Tensor)
    assert LazyConfig.load(str(tmp_path / "a.yml"), "model").in_features == 1
