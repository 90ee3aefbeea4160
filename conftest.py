"""What applies to every test: one thread, fixed random numbers, CUDA tests only with CUDA.

What needs Detectron2 is imported where it is used: the operators are also tested without it.
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 the tests import)

import gc
import json
import logging
import os
import random
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from subprocess import PIPE, CompletedProcess, Popen
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from omegaconf import DictConfig

ROOT = Path(__file__).parent
CONFIGS = ROOT / "configs"

# For tiny tensors, many threads cost more than they gain.
torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """Collected tests live until the end: the garbage collector need not look at them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def restore_random_state() -> Iterator[None]:
    """Every test draws the same numbers, whichever ran before it, and leaves no trace."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    yield
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(cpu)


def forget_new_datasets() -> Iterator[None]:
    from detectron2.data import DatasetCatalog, MetadataCatalog

    catalogs = (DatasetCatalog, MetadataCatalog)
    known = [set(catalog.list()) for catalog in catalogs]
    yield
    for catalog, names in zip(catalogs, known, strict=True):
        for name in set(catalog.list()) - names:
            catalog.remove(name)


# A name that one test gives to its data is free for the next; what a file's fixtures register stays
# until the end of the file.
datasets_of_a_file = pytest.fixture(scope="module", autouse=True)(forget_new_datasets)
datasets_of_a_test = pytest.fixture(autouse=True)(forget_new_datasets)


def restore_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("hdetr_d2", "detectron2", "fvcore")]
    before = [(list(log.handlers), log.level, log.propagate) for log in loggers]
    yield
    for log, (handlers, level, propagate) in zip(loggers, before, strict=True):
        log.handlers[:], log.propagate = handlers, propagate
        log.setLevel(level)
    if detectron2 := sys.modules.get("detectron2.utils.logger"):
        detectron2.setup_logger.cache_clear()  # the next test may set them up again


# Handlers that a run attaches to loggers write to the console of its test, which is closed later.
loggers_of_a_file = pytest.fixture(scope="module", autouse=True)(restore_loggers)
loggers_of_a_test = pytest.fixture(autouse=True)(restore_loggers)


@pytest.fixture(scope="session")
def warm_python() -> Iterator[Popen[str]]:
    # The package need not be installed: the clone is enough.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "tests" / "warm_python.py")]
    with Popen(command, env=environment, stdin=PIPE, stdout=PIPE, text=True) as process:
        yield process


Together = Callable[[list[dict]], list[CompletedProcess[str]]]


@pytest.fixture(scope="session")
def run_together(warm_python: Popen[str], tmp_path_factory: pytest.TempPathFactory) -> Together:
    """`run_together([{"command": ["script.py", "argument"]}])`: the results of new Python processes
    that run at the same time, without importing PyTorch and others again; each may have a `folder`
    and changes of its `environment`.
    """

    def run(wanted: list[dict]) -> list[CompletedProcess[str]]:
        files = tmp_path_factory.mktemp("processes")
        for number, process in enumerate(wanted):
            process["command"] = [str(part) for part in process["command"]]
            process.setdefault("folder", os.getcwd())
            process.setdefault("environment", {})
            process["output"] = [str(files / f"{number}.{name}") for name in ("out", "err")]
        assert warm_python.stdin and warm_python.stdout
        print(json.dumps(wanted, default=str), file=warm_python.stdin, flush=True)
        statuses = json.loads(warm_python.stdout.readline())
        return [
            CompletedProcess(
                process["command"], status, *(Path(path).read_text() for path in process["output"])
            )
            for process, status in zip(wanted, statuses, strict=True)
        ]

    return run


@pytest.fixture(scope="session")
def run_python(run_together: Together) -> Callable[..., CompletedProcess[str]]:
    """`run_python("-m", "module", "argument", folder=...)`: the result of such a process."""

    def run(*command: object, **options: object) -> CompletedProcess[str]:
        (done,) = run_together([{"command": command, **options}])
        return done

    return run


@pytest.fixture(scope="session")
def run_processes(run_together: Together) -> Callable[..., None]:
    """`run_processes(4, "script.py", "argument")`: this many processes of a script, started as by
    torchrun; all must succeed.
    """

    def run(count: int, *command: object) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        group = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
        group |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        ranks = [{"RANK": rank, "LOCAL_RANK": rank} for rank in map(str, range(count))]
        done = run_together([{"command": command, "environment": group | rank} for rank in ranks])
        assert not any(process.returncode for process in done), [p.stderr for p in done]

    return run


@pytest.fixture(scope="session")
def run_twice(run_processes: Callable[..., None]) -> Callable[..., None]:
    """Two such processes."""
    return partial(run_processes, 2)


@pytest.fixture
def forget_graphs() -> Iterator[None]:
    """Nothing is compiled before a test, and nothing of it is left: compilations are counted, and
    limited in number.
    """
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def lacking(item: pytest.Item) -> str:
    """What this machine lacks of what a test's marks `needs_cuda` require; empty if nothing."""
    needs = [mark.kwargs for mark in item.iter_markers("needs_cuda")]
    if needs and not torch.cuda.is_available():
        return "a CUDA device"
    devices = max((need.get("devices", 1) for need in needs), default=0)
    if devices > torch.cuda.device_count():
        return f"{devices} CUDA devices"
    gigabytes = max((need.get("gigabytes", 0) for need in needs), default=0)
    if gigabytes and gigabytes * 1e9 > torch.cuda.mem_get_info(0)[0]:
        return f"{gigabytes} GB of free memory on the CUDA device"
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if lacks := lacking(item):
        # Read by a run that counts every other skip as a failure (tools/gpu).
        item.user_properties.append(("lacks", lacks))
        pytest.skip(f"needs {lacks}")


def shrink_scheme(scheme: "DictConfig") -> "DictConfig":
    """A small version of a scheme, whose teacher, if any, needs no download."""
    if "num_random" in scheme:
        scheme.num_random = 8
    if "teacher_dim" in scheme:
        scheme.teacher_dim = 96
        scheme.teacher.update(name="test_resnet", feature="res5", pretrained=False)
    return scheme


def shrink_config(cfg: "DictConfig") -> "DictConfig":
    """A recipe with all sizes reduced, so that a step takes a fraction of a second. Nothing else
    changes.
    """
    model = cfg.model
    if "conv_dw" in model.get("freeze", ()):  # depthwise filters, which the small models lack
        model.freeze = []
    if "window" in model.backbone:  # a plain transformer
        small = {"embed_dim": 64, "depth": 4, "num_heads": 2}
        name = "eva02_tiny_patch14_224"
        model.backbone.update(name=name, pretrained=False, window=2, options=small)
        channels = {"res4": 64}
    else:
        model.backbone.update(name="test_resnet", pretrained=False, frozen=0, norm="gn")
        channels = {"res2": 32, "res3": 48, "res4": 192, "res5": 96}
    if "side" in model.preprocessing:
        model.preprocessing.side = 96
    features = model.neck.in_features or model.backbone.out_features
    in_shapes = [channels[name] for name in features]
    model.neck.update(in_shapes=in_shapes, out_channels=32)
    model.encoder.sizes.update(num_heads=4, feedforward_dim=48)
    model.encoder.num_layers = 1
    model.decoder.num_layers = 3
    model.query_selection.num_queries = 12
    for scheme in model.get("schemes", ()):
        shrink_scheme(scheme)
    if "mask_head" in model:
        model.mask_head.in_shapes = [channels[name] for name in model.mask_head.in_features]
    return cfg


@pytest.fixture(scope="session")
def shrink() -> "Callable[[DictConfig], DictConfig]":
    return shrink_config


@pytest.fixture
def small_schemes() -> "dict[str, DictConfig]":
    """Every node of configs/common/schemes.py."""
    from detectron2.config import LazyConfig

    nodes = LazyConfig.load(str(CONFIGS / "common" / "schemes.py")).items()
    return {name: shrink_scheme(node) for name, node in nodes if "_target_" in node}


@pytest.fixture(scope="session")
def tiny_config() -> "Callable[..., DictConfig]":
    """A config (by default Deformable-DETR++ alone) with small sizes:
    `tiny_config("common/models/x.py", num_classes=3)`.
    """
    from detectron2.config import LazyConfig

    load_once = cache(lambda path: LazyConfig.load(str(CONFIGS / path)))

    def load(
        path: str = "common/models/deformable_detr_pp.py", num_classes: int = 3
    ) -> "DictConfig":
        cfg = shrink_config(deepcopy(load_once(path)))
        cfg.setdefault("data", {})
        cfg.data.num_classes = num_classes
        cfg.setdefault("train", {"epochs": 12})
        return cfg

    return load


def build_small(node: "DictConfig") -> torch.nn.Module:
    """The model of a node. A teacher that must have the same kind of queries is such a model
    without schemes.
    """
    from detectron2.config import instantiate

    from hdetr_d2.teachers import DecoderTeacher

    model = instantiate(node)
    for scheme in model.schemes:
        if isinstance(getattr(scheme, "teacher", None), DecoderTeacher):
            scheme.teacher.build = lambda device: instantiate({**node, "schemes": []})
    return model


@pytest.fixture(scope="session")
def small_model() -> "Callable[[DictConfig], torch.nn.Module]":
    return build_small


@pytest.fixture(scope="session")
def tiny_model(tiny_config) -> Callable[..., torch.nn.Module]:
    """A model of `tiny_config`, always with the same random weights."""
    from omegaconf import OmegaConf

    def build(
        path: str = "common/models/deformable_detr_pp.py", **changes: object
    ) -> torch.nn.Module:
        cfg = tiny_config(path)
        for key, value in changes.items():
            # A double underscore stands for a dot.
            OmegaConf.update(cfg.model, key.replace("__", "."), value, merge=False)
        torch.manual_seed(0)
        return build_small(cfg.model)

    return build


@contextmanager
def count_operations() -> Iterator[FlopCounterMode]:
    """PyTorch's counter, extended by attention: it lacks the CPU's fused attention and, in
    evaluation, `nn.MultiheadAttention`'s fast path.
    """
    in_one_piece = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(in_one_piece)


@pytest.fixture(scope="session")
def counted_operations() -> Callable[[], AbstractContextManager[FlopCounterMode]]:
    """`with counted_operations() as counter: ...`, then `counter.get_total_flops()`."""
    return count_operations


def ellipses(boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Masks `Tensor[n, H, W]` that fill the boxes `Tensor[n, 4]` xyxy except for the corners."""
    y, x = torch.meshgrid(*(torch.arange(side) + 0.5 for side in size), indexing="ij")
    x0, y0, x1, y1 = boxes[..., None, None].unbind(1)
    return ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2 <= 1


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., list[dict]]:
    """Detectron2 inputs with this many random objects per image, and one fewer box found by a
    teacher: `make_batch([2, 0], size=(64, 96))`.
    """
    from detectron2.structures import BitMasks, Boxes, Instances

    def make(
        counts: list[int], size: tuple[int, int] = (64, 96), num_classes: int = 3
    ) -> list[dict]:
        rng = torch.Generator().manual_seed(sum(counts))
        height, width = size
        batch = []
        for index, count in enumerate(counts):
            corner = torch.rand(count, 2, generator=rng) * 0.5
            side = 0.1 + torch.rand(count, 2, generator=rng) * 0.4
            boxes = torch.cat([corner, corner + side], 1) * torch.tensor([width, height] * 2)
            instances = Instances(size)
            instances.gt_boxes = Boxes(boxes)
            instances.gt_classes = torch.randint(num_classes, (count,), generator=rng)
            instances.gt_masks = BitMasks(ellipses(boxes, size))
            image = torch.randint(256, (3, height, width), generator=rng, dtype=torch.uint8)
            found = Instances(size)
            found.gt_boxes = Boxes(boxes[1:] + 1)
            found.gt_classes = instances.gt_classes[1:]
            found.scores = torch.linspace(0.9, 0.4, len(boxes[1:]))
            batch.append(
                dict(
                    image=image,
                    instances=instances,
                    height=2 * height,
                    width=2 * width,
                    image_id=index,
                    teacher=found,
                )
            )
        return batch

    return make
