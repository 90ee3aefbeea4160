"""Times of models, taken in turns."""

import pytest

from hdetr_d2.commands import benchmark as command
from hdetr_d2.errors import UserError
from hdetr_d2.runtime.timing import Setting, Timing, time_files


def test_percentiles_and_throughput_by_hand():
    timing = Timing("m", (0.1, 0.2, 0.3, 0.4, 1.0), batch=2, memory=1.0)
    assert timing.percentile(50) == pytest.approx(300)
    assert timing.percentile(0) == pytest.approx(100)
    assert timing.images_per_second == pytest.approx(5.0)


def test_the_command_prints_a_row_for_each_file(exported, capsys):
    path = str(exported("onnx"))
    assert command.main([path, "--size", "64", "96", "--rounds", "2"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["model", "median", "ms"]
    assert {row.split()[0] for row in rows} == {path}
    assert all(float(number) > 0 for row in rows for number in row.split()[1:])


def test_what_cannot_be_opened_is_one_sentence(tmp_path, capsys):
    with pytest.raises(UserError, match="does not exist"):
        time_files([str(tmp_path / "none.onnx")], Setting((64, 64)), 1)
    with pytest.raises(SystemExit) as stop:
        command.main([str(tmp_path / "none.onnx")])
    assert stop.value.code == 2
    assert "error:" in capsys.readouterr().err
