"""Each message is written once, to the log of what is done at the time."""

import logging
from pathlib import Path

import pytest

from hdetr_d2.engine.messages import write_messages

LOGGER = logging.getLogger("hdetr_d2.of_a_test")


def test_two_runs_and_a_command_of_one_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_messages("hdetr_d2")
    LOGGER.info("before")
    for run in ("one", "two", "one"):
        write_messages("hdetr_d2", "fvcore", folder=str(tmp_path / run))
        LOGGER.info("training %s", run)
    write_messages("hdetr_d2")
    LOGGER.info("after")
    lines = capsys.readouterr().out.splitlines()
    told = ["before", "training one", "training two", "training one", "after"]
    assert [line.partition("of_a_test")[2].rpartition(": ")[2] for line in lines] == told
    assert (tmp_path / "one/log.txt").read_text().count("training one") == 2
    assert (tmp_path / "one/log.txt").read_text().count("\n") == 2
    assert (tmp_path / "two/log.txt").read_text().count("\n") == 1


def test_handlers_of_others_stay() -> None:
    logger, own = logging.getLogger("hdetr_d2"), logging.NullHandler()
    logger.addHandler(own)
    write_messages("hdetr_d2")
    write_messages("hdetr_d2")
    assert own in logger.handlers
    assert len(logger.handlers) == 2
