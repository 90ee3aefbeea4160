"""A Python that has imported what takes seconds, and forks for every process that a test asks for.

What a fork runs is as in a new process: its command line, folder, environment, output and end are
its own, and neither this package nor detectron2 is imported yet. The fixtures `run_python` and
`run_twice` start this script. A line that they write to it are processes, in JSON, that run at the
same time; the line that it answers are their exit statuses.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import sys
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess

HEAVY = ["torch._dynamo", "torchvision", "timm", "scipy.optimize", "hydra", "fvcore.common.timer"]


def run(command: list[str]) -> None:
    """What `python COMMAND` does."""
    first = command[0]
    sys.argv = command[first == "-m" :]
    sys.path[0] = "" if first in ("-c", "-m") else os.path.dirname(first)
    if first == "-c":
        exec(compile(command[1], "<string>", "exec"), {"__name__": "__main__"})
    elif first == "-m":
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(first, run_name="__main__")


def become(command: list[str], folder: str, environment: dict[str, str], output: list[str]) -> None:
    """Run the command where and with what is given; stdout and stderr are the files `output`."""
    for number, path in enumerate(output, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(folder)
    os.environ.update(environment)
    sys.path[1:1] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    run(command)


def statuses(processes: list[ForkProcess]) -> list[int | None]:
    """How they end. Where one fails, the others are ended: they would wait for it."""
    running = {process.sentinel: process for process in processes}
    while running:
        for sentinel in wait(list(running)):
            ended = running.pop(sentinel)
            ended.join()
            for process in running.values() if ended.exitcode else ():
                process.terminate()
    return [process.exitcode for process in processes]


def serve() -> None:
    for line in sys.stdin:
        processes = [ForkProcess(target=become, kwargs=wanted) for wanted in json.loads(line)]
        for process in processes:
            process.start()
        print(json.dumps(statuses(processes)), flush=True)


if __name__ == "__main__":
    for name in HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # what forks need not look through is not copied for them
    serve()
