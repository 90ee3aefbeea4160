"""Events, writers, logger, seeds, paths and the registry."""

import hdetr_d2  # noqa: F401

import json
import logging
import os
from pathlib import Path

import pytest
import torch
from detectron2.utils import logger as d2_logger
from detectron2.utils.events import (
    EventStorage,
    EventWriter,
    JSONWriter,
    TensorboardXWriter,
    get_event_storage,
)
from detectron2.utils.file_io import PathManager
from detectron2.utils.registry import Registry, locate


class TestEventStorage:
    def test_current_one(self):
        with pytest.raises(AssertionError):
            get_event_storage()
        with EventStorage(3) as outer:
            assert get_event_storage() is outer
            assert outer.iter == 3
            with EventStorage() as inner:
                assert get_event_storage() is inner
            assert get_event_storage() is outer

    def test_iterations(self):
        storage = EventStorage(5)
        storage.put_scalar("a", 1)
        storage.step()
        assert storage.iter == 6
        storage.iter = 9
        storage.put_scalar("a", torch.tensor(2.5))
        storage.put_scalar("b", 3, cur_iter=4)
        assert storage.latest() == {"a": (2.5, 9), "b": (3.0, 4)}
        assert storage.history("a").values() == [(1.0, 5), (2.5, 9)]
        assert set(storage.histories()) == {"a", "b"}

    def test_unknown_scalar(self):
        with pytest.raises(KeyError):
            EventStorage().history("nothing")

    def test_put_scalars(self):
        storage = EventStorage()
        storage.put_scalars(a=1, b=2, smoothing_hint=False, cur_iter=7)
        assert storage.latest() == {"a": (1.0, 7), "b": (2.0, 7)}

    def test_hint_must_not_change(self):
        storage = EventStorage()
        storage.put_scalar("a", 1)
        with pytest.raises(AssertionError):
            storage.put_scalar("a", 1, smoothing_hint=False)

    def test_smoothing(self):
        storage = EventStorage()
        for step, value in enumerate([100.0, 1.0, 2.0, 9.0]):
            storage.iter = step
            storage.put_scalar("noisy", value)
            storage.put_scalar("exact", value, smoothing_hint=False)
        latest = storage.latest_with_smoothing_hint(3)
        assert latest == {"noisy": (2.0, 3), "exact": (9.0, 3)}
        assert storage.count_samples("noisy", 3) == 3
        assert storage.count_samples("noisy", 20) == 4

    def test_window_counts_iterations_not_values(self):
        storage = EventStorage()
        for step in (0, 10, 20):
            storage.iter = step
            storage.put_scalar("rare", float(step))
        assert storage.latest_with_smoothing_hint(5)["rare"] == (20.0, 20)


class TestWriters:
    def lines(self, path: Path) -> list[dict[str, float]]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    def test_base_class(self):
        with pytest.raises(NotImplementedError):
            EventWriter().write()
        assert EventWriter().close() is None

    def test_json(self, tmp_path):
        path = tmp_path / "metrics.json"
        writer = JSONWriter(str(path), window_size=2)
        with EventStorage() as storage:
            for step in range(4):
                storage.iter = step
                storage.put_scalar("loss", float(step))
                storage.put_scalar("lr", 0.1, smoothing_hint=False)
                if step % 2:
                    writer.write()
            writer.write()  # nothing new
        assert self.lines(path) == [
            {"iteration": 1, "loss": 0.5, "lr": 0.1},
            {"iteration": 3, "loss": 2.5, "lr": 0.1},
        ]
        assert path.read_text().startswith('{"iteration": 1, "loss"')
        writer.close()

    def test_json_writes_each_value_at_its_iteration(self, tmp_path):
        path = tmp_path / "metrics.json"
        path.write_text('{"iteration": 0}\n')
        writer = JSONWriter(str(path))
        with EventStorage(5) as storage:
            storage.put_scalar("ap", 1, cur_iter=3)
            storage.put_scalar("loss", 2)
            writer.write()
            storage.iter = 6
            storage.put_scalar("ap", 4)
            writer.write()
        writer.close()
        found = {
            (line["iteration"], *sorted(set(line) - {"iteration"})) for line in self.lines(path)
        }
        assert found == {(0,), (3, "ap"), (5, "loss"), (6, "ap")}

    def test_tensorboard(self, tmp_path):
        writer = TensorboardXWriter(str(tmp_path / "tb"))
        assert not (tmp_path / "tb").exists()
        with EventStorage(2) as storage:
            storage.put_scalar("loss", 1.5)
            writer.write()
            storage.iter = 3
            storage.put_scalar("loss", 2.5, smoothing_hint=True)
            writer.write()
        writer.close()
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(tmp_path / "tb")).Reload()
        assert [(event.step, event.value) for event in events.Scalars("loss")] == [
            (2, 1.5),
            (3, 2.0),
        ]

    def test_close_without_writing(self, tmp_path):
        TensorboardXWriter(str(tmp_path / "tb")).close()
        assert not (tmp_path / "tb").exists()


class TestLogger:
    @pytest.fixture
    def name(self, request):
        """A logger name that no other test uses; its handlers are removed afterwards."""
        name = f"contract_{request.node.name}"
        yield name
        logging.getLogger(name).handlers.clear()

    def test_file_and_terminal(self, tmp_path, capsys, name):
        logger = d2_logger.setup_logger(str(tmp_path), name=name, color=False)
        logging.getLogger(f"{name}.part").info("a message")
        assert logger.name == name
        assert "a message" in capsys.readouterr().out
        text = (tmp_path / "log.txt").read_text()
        assert f"{name}.part INFO: a message" in text
        assert not logger.propagate

    def test_twice_does_not_double_the_lines(self, tmp_path, capsys, name):
        for _ in range(2):
            logger = d2_logger.setup_logger(str(tmp_path), name=name)
        logger.info("once")
        assert capsys.readouterr().out.count("once") == 1
        assert (tmp_path / "log.txt").read_text().count("once") == 1

    def test_other_ranks_write_their_own_file_only(self, tmp_path, capsys, name):
        d2_logger.setup_logger(str(tmp_path / "new"), distributed_rank=2, name=name).info("hello")
        assert capsys.readouterr().out == ""
        assert "hello" in (tmp_path / "new" / "log.txt.rank2").read_text()

    def test_file_name(self, tmp_path, name):
        d2_logger.setup_logger(str(tmp_path / "own.log"), name=name, configure_stdout=False).info(
            "x"
        )
        assert "x" in (tmp_path / "own.log").read_text()

    def test_colour_and_abbreviation(self, tmp_path, capsys, name):
        d2_logger.setup_logger(str(tmp_path), name=name, abbrev_name="short")
        logging.getLogger(f"{name}.part").warning("careful")
        terminal, file = capsys.readouterr().out, (tmp_path / "log.txt").read_text()
        assert "short.part" in terminal
        assert "WARNING" in terminal
        assert ".part WARNING: careful" in file

    def test_two_loggers_share_a_file(self, tmp_path, name):
        for each in (name, f"{name}_b"):
            d2_logger.setup_logger(str(tmp_path), name=each, configure_stdout=False).info(
                "from %s", each
            )
        logging.getLogger(f"{name}_b").handlers.clear()
        lines = (tmp_path / "log.txt").read_text().splitlines()
        assert [line.rsplit(" ", 1)[1] for line in lines] == [name, f"{name}_b"]

    def messages(self, caplog: pytest.LogCaptureFixture) -> list[str]:
        return [record.getMessage() for record in caplog.records]

    def test_log_every_n_seconds(self, caplog):
        for k in range(3):
            d2_logger.log_every_n_seconds(logging.WARNING, f"m{k}", n=100)
        assert self.messages(caplog) == ["m0"]

    def test_logger_is_the_callers(self, caplog):
        d2_logger.log_every_n_seconds(logging.WARNING, "mine")
        d2_logger.log_every_n_seconds(logging.WARNING, "named", name="contract_named")
        assert [record.name for record in caplog.records] == [__name__, "contract_named"]

    def test_small_table(self):
        rows = d2_logger.create_small_table({"AP": 12.34567, "AP50": 50.0}).splitlines()
        cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
        assert cells[0] == ["AP", "AP50"]
        assert cells[2] == ["12.346", "50.000"]


class TestPaths:
    def test_local_files(self, tmp_path):
        path = str(tmp_path / "a" / "b.txt")
        PathManager.mkdirs(str(tmp_path / "a"))
        with PathManager.open(path, "w") as file:
            file.write("text")
        assert PathManager.isfile(path)
        assert PathManager.exists(path)
        assert PathManager.isdir(str(tmp_path / "a"))
        assert PathManager.ls(str(tmp_path / "a")) == ["b.txt"]
        assert PathManager.get_local_path(path) == path

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            PathManager.open(str(tmp_path / "none"))


class TestRegistry:
    def test_locate(self):
        assert locate("torch.nn.Linear") is torch.nn.Linear
        assert locate("torch.optim.sgd.SGD") is torch.optim.SGD
        assert locate("os.path") is os.path
        assert locate("collections.OrderedDict.fromkeys")(["a"]) == {"a": None}

    def test_locate_a_module_not_yet_imported(self):
        assert locate("json.tool.main").__name__ == "main"

    @pytest.mark.parametrize("name", ["torch.nn.NoSuchLayer", "no_such_package.x"])
    def test_locate_fails(self, name):
        with pytest.raises(ImportError):
            locate(name)

    def test_registry(self):
        registry = Registry("THINGS")
        registry.register(dict)
        assert registry.get("dict") is dict
