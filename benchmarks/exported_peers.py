"""Deformable-DETR of Hugging Face's transformers as a detector, in PyTorch and exported."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from inference_peers import PIXEL_MEAN, PIXEL_STD, deformable_detr, transformers, transformers_side
from inference_peers import TRANSFORMERS as NAME
from torch import Tensor, nn

from hdetr_d2.pixels import EIGHT_BITS
from hdetr_d2.runtime import Shapes

TRANSFORMERS = NAME if transformers else None


class _Peer:
    """Its detections are ignored; only the time matters."""

    class_names: tuple[str, ...] = ()
    image_format = EIGHT_BITS

    def read(self, entry: dict) -> dict:
        """The image as `Tensor[3, H, W]`."""
        return {"image": torch.from_numpy(entry["image"]).permute(2, 0, 1).contiguous()}

    def find(self, batch: Sequence[dict]) -> list[Shapes]:
        self.run([item["image"] for item in batch])
        return [Shapes(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0)) for _ in batch]

    def run(self, images: list[Tensor]) -> None:
        raise NotImplementedError


class TransformersDetector(_Peer):
    """In PyTorch."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.side = None

    def run(self, images: list[Tensor]) -> None:
        """Always returns results for its first images."""
        if self.side is None:
            self.side = transformers_side(images, self.classes, "cpu")
        self.side()


class ExportedTransformers(_Peer):
    """Logits and boxes are computed by the given function; the best 100 pairs are selected here."""

    def __init__(self, compute: Callable[[np.ndarray], Sequence[np.ndarray]]) -> None:
        self.compute = compute
        self.mean, self.std = PIXEL_MEAN.numpy(), PIXEL_STD.numpy()

    def run(self, images: list[Tensor]) -> None:
        pixels = np.stack([(image.numpy() - self.mean) / self.std for image in images])
        logits, boxes = self.compute(pixels.astype(np.float32))
        for scores, places in zip(1 / (1 + np.exp(-logits)), boxes, strict=True):
            best = np.argpartition(-scores.ravel(), 100)[:100]
            places[best // scores.shape[1]]


class _Outputs(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        out = self.model(pixels)
        return out.logits, out.pred_boxes


def export_transformers(classes: int, size: tuple[int, int], path: Path) -> None:
    """Exported like ours: with the exporter of torch.export, for one image of this size."""
    model = _Outputs(deformable_detr(classes, "cpu")).eval().requires_grad_(False)
    example = (torch.zeros(1, 3, *size),)
    torch.onnx.export(model, example, path, dynamo=True, opset_version=18, optimize=False)


def transformers_detector(classes: int, threads: int) -> TransformersDetector:
    torch.set_num_threads(threads)
    return TransformersDetector(classes)


def transformers_onnx(path: Path, threads: int) -> ExportedTransformers:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return ExportedTransformers(lambda pixels: session.run(None, {name: pixels}))


def transformers_openvino(path: Path, threads: int, precision: str) -> ExportedTransformers:
    import openvino

    hints = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    model = openvino.Core().compile_model(path, "CPU", hints)
    return ExportedTransformers(lambda pixels: [*model([pixels]).values()])


def transformers_forms(
    classes: int, size: tuple[int, int], threads: int, folder: Path
) -> Mapping[str, Callable[[], _Peer]]:
    """Functions that open each form; empty if transformers is not installed."""
    if TRANSFORMERS is None:
        return {}
    path = folder / "transformers.onnx"
    export_transformers(classes, size, path)
    return {
        TRANSFORMERS: partial(transformers_detector, classes, threads),
        f"{TRANSFORMERS}, onnx": partial(transformers_onnx, path, threads),
        f"{TRANSFORMERS}, openvino": partial(transformers_openvino, path, threads, "f32"),
        f"{TRANSFORMERS}, openvino, bfloat16": partial(
            transformers_openvino, path, threads, "bf16"
        ),
    }
