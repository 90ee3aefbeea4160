"""Two hosts: network namespaces of this machine that see each other, and nothing else."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from hdetr_d2.checkpoint import read_checkpoint
from hdetr_d2.visualization import read_metrics

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("small_recipe.py")
# Sums of several threads have other last digits.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip` to make network namespaces with")
    names = [f"hdetr{os.getpid()}h{number}" for number in range(2)]
    ends = [f"hd{os.getpid() % 100000}e{number}" for number in range(2)]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for number, (name, end) in enumerate(zip(names, ends, strict=True)):
            ip("link", "set", end, "netns", name, "name", "wire")
            for words in (f"addr add 10.77.0.{number + 1}/24 dev wire", "link set wire up"):
                ip("-n", name, *words.split())
            ip("-n", name, "link", "set", "lo", "up")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    yield names
    for name in names:
        ip("netns", "del", name)


def vanish(host: str) -> None:
    """End all its processes: those of an agent are in sessions of their own, and outlive it."""
    command = ["ip", "netns", "pids", host]
    for process in subprocess.run(command, capture_output=True, check=True).stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(process), signal.SIGKILL)


Start = Callable[..., list[subprocess.Popen]]


@pytest.fixture
def start(hosts: list[str], tmp_path: Path) -> Iterator[Start]:
    """Starts the same training on both; what they print is in host0.out and host1.out."""
    agents: list[subprocess.Popen] = []

    def run(*options: str, nodes: str = "2", restarts: int = 0) -> list[subprocess.Popen]:
        environment = {**ENVIRONMENT, "GLOO_SOCKET_IFNAME": "wire"}
        for number, host in enumerate(hosts):
            command = ["ip", "netns", "exec", host, sys.executable, "-m", "torch.distributed.run"]
            command += ["--nnodes", nodes, "--nproc-per-node", "1", "--max-restarts", str(restarts)]
            command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "10.77.0.1:29500"]
            conf = f"is_host={1 - number},last_call_timeout=15,keep_alive_interval=2"
            command += ["--rdzv-conf", conf, "--local-addr"]
            command += [f"10.77.0.{number + 1}", str(ROOT / "train_net.py"), *options]
            with (tmp_path / f"host{number}.out").open("w") as out:
                agents.append(
                    subprocess.Popen(
                        command, env=environment, stdout=out, stderr=out, start_new_session=True
                    )
                )
        return agents

    yield run
    for host in hosts:
        vanish(host)
    for agent in agents:
        agent.wait()


def evaluated(run: Path) -> list[tuple[float, float]]:
    """Iterations and their AP: one log, with every image once."""
    rows = read_metrics(run / "metrics.json")
    return [(row["iteration"], row["bbox/AP"]) for row in rows if "bbox/AP" in row]


def printed(folder: Path) -> str:
    return (folder / "host0.out").read_text()[-3000:]


def options(folder: Path, *more: str) -> list[str]:
    given = ["--config-file", str(CONFIG), "--resume", f"data.generate.root={folder}/data"]
    return [*given, "train.max_iter=6", "train.eval_period_epochs=0", *more]


def test_two_hosts_train_as_two_processes_of_one(start: Start, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "train_net.py"), "--num-gpus", "2"]
    alone = options(tmp_path, f"train.output_dir={tmp_path}/one")
    command += [*alone, "train.device=cpu"]
    subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
    agents = start(*options(tmp_path, f"train.output_dir={tmp_path}/two"))
    assert [agent.wait(timeout=300) for agent in agents] == [0, 0], printed(tmp_path)
    one, two = (read_checkpoint(tmp_path / name / "model_final.pth") for name in ("one", "two"))
    assert all(torch.equal(weight, two["model"][name]) for name, weight in one["model"].items())
    log = (tmp_path / "two" / "log.txt").read_text()
    assert "Total batch 2 = 2 process(es) x 1 micro-batch(es) x 1 images" in log
    first, second = (evaluated(tmp_path / name) for name in ("one", "two"))
    assert first and first == second


def test_a_host_that_vanishes_leaves_the_other(
    start: Start, hosts: list[str], tmp_path: Path
) -> None:
    often = ["train.max_iter=60", "train.checkpoint.period_epochs=1"]
    both = tmp_path / "both"
    agents = start(*options(tmp_path, f"train.output_dir={both}", *often), nodes="1:2", restarts=1)
    last = both / "last_checkpoint"
    wait_for(tmp_path, lambda: last.is_file() and last.read_text() > "model_0000008")
    vanish(hosts[1])
    assert agents[0].wait(timeout=200) == 0, printed(tmp_path)
    assert last.read_text() == "model_final.pth"
    log = (both / "log.txt").read_text()
    assert "= 2 process(es) x" in log and "= 1 process(es) x" in log
    assert "Resumed at iteration" in log
    assert "lost another one in iteration" in (tmp_path / "host0.out").read_text()


def test_a_link_that_goes_down_ends_both_in_a_sentence(
    start: Start, hosts: list[str], tmp_path: Path
) -> None:
    often = ["train.max_iter=60", "train.checkpoint.period_epochs=1"]
    both = tmp_path / "both"
    often += [f"train.output_dir={both}", "train.host_timeout_seconds=8"]
    agents = start(*options(tmp_path, *often), nodes="1:2", restarts=1)
    last = both / "last_checkpoint"
    wait_for(tmp_path, lambda: last.is_file() and last.read_text() > "model_0000008")
    ip("-n", hosts[1], "link", "set", "wire", "down")
    told = [
        f"error: nothing was heard of host {socket.gethostname()} (10.77.0.{2 - number}) with "
        f"process {1 - number} for 8 seconds (train.host_timeout_seconds)"
        for number in range(2)
    ]
    outs = [tmp_path / f"host{number}.out" for number in range(2)]
    wait_for(tmp_path, lambda: all(t in out.read_text() for t, out in zip(told, outs, strict=True)))
    # That of the first host holds the place where they meet; the other one asks it in vain.
    assert agents[0].wait(timeout=200) == 0, printed(tmp_path)
    assert last.read_text() == "model_final.pth"
    log = (both / "log.txt").read_text()
    assert "= 2 process(es) x" in log and "= 1 process(es) x" in log
    assert "Resumed at iteration" in log


def wait_for(folder: Path, happens: Callable[[], bool]) -> None:
    for _ in range(1500):
        if happens():
            return
        time.sleep(0.1)
    raise AssertionError(printed(folder))
