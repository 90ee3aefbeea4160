"""Talking between processes: alone, and in two processes over gloo (this file is their script)."""

import hdetr_d2  # noqa: F401

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist
from detectron2.utils import comm


class TestAlone:
    def test_ranks(self):
        assert (comm.get_rank(), comm.get_world_size()) == (0, 1)
        assert comm.get_local_rank() == 0
        assert comm.is_main_process()
        assert comm.synchronize() is None

    def test_gathering(self):
        data = {"a": object()}
        assert comm.all_gather(data)[0] is data
        assert comm.gather(data)[0] is data


def talk(rank: int) -> dict[str, Any]:
    """What one of two processes hears."""
    comm.synchronize()
    return {
        "ranks": [comm.get_rank(), comm.get_world_size(), comm.is_main_process()],
        "local": comm.get_local_rank(),
        "local_group": dist.get_world_size(comm.get_local_process_group()),
        "all_gather": comm.all_gather({"rank": rank, "text": "x" * (10 ** (1 + 3 * rank))}),
        "gather": comm.gather([rank] * rank),
        "gather_at_1": comm.gather(rank, dst=1),
    }


def main(rank: int, folder: Path) -> None:
    init = f"file://{folder / 'init'}"
    dist.init_process_group("gloo", init_method=init, rank=rank, world_size=2)
    comm.create_local_process_group(2)
    (folder / f"{rank}.json").write_text(json.dumps(talk(rank)))
    comm.synchronize()
    dist.destroy_process_group()
    # gloo has aborted now and then while the interpreter shut down, all work done.
    os._exit(0)


@pytest.fixture(scope="module")
def heard(run_together: Callable, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("comm")
    done = run_together([{"command": [__file__, rank, folder]} for rank in ("0", "1")])
    assert [process.returncode for process in done] == [0, 0], [each.stderr for each in done]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


class TestTwoProcesses:
    def test_ranks(self, heard):
        assert [each["ranks"] for each in heard] == [[0, 2, True], [1, 2, False]]
        assert [each["local"] for each in heard] == [0, 1]
        assert [each["local_group"] for each in heard] == [2, 2]

    def test_all_gather(self, heard):
        expected = [{"rank": 0, "text": "x" * 10}, {"rank": 1, "text": "x" * 10**4}]
        assert [each["all_gather"] for each in heard] == [expected, expected]

    def test_gather(self, heard):
        assert [each["gather"] for each in heard] == [[[], [1]], []]
        assert [each["gather_at_1"] for each in heard] == [[], [0, 1]]


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
