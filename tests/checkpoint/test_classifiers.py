"""ImageNet classifiers as a start: names, colours, deviation and strides, with weights that were
drawn, in a ResNet that is built as Detectron2's is.
"""

import hdetr_d2  # noqa: F401

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from detectron2.checkpoint import DetectionCheckpointer
from torch import Tensor, nn

from hdetr_d2.checkpoint import Checkpointer
from hdetr_d2.engine.random_constants import refuse_random_constants
from hdetr_d2.errors import UserError
from hdetr_d2.modeling import Preprocessing

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


class FrozenBatchNorm2d(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels) - 1e-5)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight / (self.running_var + 1e-5).sqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale[:, None, None] + shift[:, None, None]


class Conv(nn.Conv2d):
    def __init__(self, *sizes: int, stride: int = 1) -> None:
        super().__init__(*sizes, stride=stride, padding=sizes[2] // 2, bias=False)
        self.norm = FrozenBatchNorm2d(sizes[1])

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class Block(nn.Module):
    def __init__(self, inputs: int, stride: int, strides_first: bool) -> None:
        super().__init__()
        first, second = (stride, 1) if strides_first else (1, stride)
        width = 64 * stride
        self.shortcut = Conv(inputs, 4 * width, 1, stride=stride)
        self.conv1 = Conv(inputs, width, 1, stride=first)
        self.conv2 = Conv(width, width, 3, stride=second)
        self.conv3 = Conv(width, 4 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv2(self.conv1(x).relu()).relu()
        return (self.conv3(inner) + self.shortcut(x)).relu()


class Stem(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv(3, 64, 7, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.max_pool2d(self.conv1(x).relu(), 3, stride=2, padding=1)


class ResNet(nn.Module):
    """With Detectron2's names; a block in each of two stages."""

    def __init__(self, strides_first: bool) -> None:
        super().__init__()
        self.stem = Stem()
        self.res2 = nn.Sequential(Block(64, 1, strides_first))
        self.res3 = nn.Sequential(Block(256, 2, strides_first))

    def forward(self, x: Tensor) -> Tensor:
        return self.res3(self.res2(self.stem(x)))


class Detector(nn.Module):
    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(pixel_mean=MEAN, pixel_std=STD)
        self.backbone = backbone
        self.head = nn.Linear(2, 2)

    def class_head_keys(self) -> set[str]:
        return set()


def torchvisions() -> nn.Module:
    """A ResNet of torchvision with a block in each stage, its norms drawn."""
    net = torchvision.models.resnet.ResNet(torchvision.models.resnet.Bottleneck, [1, 1, 1, 1])
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(value, 0.5, 1.5)
    return net.eval()


def image() -> Tensor:
    return torch.randint(0, 256, (3, 64, 64)).to(torch.uint8)


def maps_of(detector: Detector, pixels: Tensor) -> Tensor:
    return detector.backbone(detector.preprocessing([pixels]).tensor)


def start(detector: Detector, path: Path) -> None:
    Checkpointer(detector).load(str(path), checkpointables=[])


@torch.no_grad()
def test_a_classifier_of_torchvision_gives_its_maps(tmp_path: Path) -> None:
    net, pixels = torchvisions(), image()
    torch.save(net.state_dict(), tmp_path / "resnet.pth")
    detector = Detector(ResNet(strides_first=False))
    head = detector.head.weight.clone()
    start(detector, tmp_path / "resnet.pth")
    x = (pixels[None] - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    x = net.maxpool(net.bn1(net.conv1(x)).relu())
    torch.testing.assert_close(maps_of(detector, pixels), net.layer2(net.layer1(x)))
    assert torch.equal(detector.head.weight, head)


def caffe2_blobs() -> dict[str, np.ndarray]:
    """By Caffe2's names: a scale and a bias in a norm's place, and the head and a momentum."""
    draw = np.random.default_rng(3)
    norm = {"s": lambda n: draw.uniform(0.5, 1.5, n), "b": lambda n: draw.normal(0, 1, n)}
    convs = {"conv1": (64, 3, 7, 7)}
    for stage, inputs, width in ((2, 64, 64), (3, 256, 128), (4, 512, 256)):
        convs[f"res{stage}_0_branch1"] = (4 * width, inputs, 1, 1)
        convs[f"res{stage}_0_branch2a"] = (width, inputs, 1, 1)
        convs[f"res{stage}_0_branch2b"] = (width, width, 3, 3)
        convs[f"res{stage}_0_branch2c"] = (4 * width, width, 1, 1)
    blobs = {}
    for name, shape in convs.items():
        blobs[f"{name}_w"] = draw.normal(0, 0.02, shape)
        prefix = "res_conv1" if name == "conv1" else name
        blobs |= {f"{prefix}_bn_{kind}": make(shape[0]) for kind, make in norm.items()}
    blobs |= {"fc1000_w": np.zeros((5, 2048)), "fc1000_b": np.zeros(5), "lr": np.zeros(1)}
    blobs["conv1_w_momentum"] = np.ones(3)
    del blobs["lr"]
    return {name: value.astype(np.float32) for name, value in blobs.items()}


@torch.no_grad()
@pytest.mark.parametrize("wrap", [lambda b: b, lambda b: {"blobs": b}], ids=["plain", "blobs"])
def test_a_classifier_of_caffe2_sees_blue_first_and_no_deviation(
    tmp_path: Path, wrap: Callable[[dict], dict]
) -> None:
    blobs, pixels = caffe2_blobs(), image()
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps(wrap(blobs), protocol=2))
    detector = Detector(ResNet(strides_first=True))
    start(detector, tmp_path / "R-50.pkl")
    bgr = (pixels.float() - torch.tensor(MEAN)[:, None, None]).flip(0)
    stem = nn.functional.conv2d(bgr[None], torch.tensor(blobs["conv1_w"]), stride=2, padding=3)
    scale, shift = (torch.tensor(blobs[f"res_conv1_bn_{x}"])[:, None, None] for x in "sb")
    ours = detector.backbone.stem.conv1(detector.preprocessing([pixels]).tensor)
    torch.testing.assert_close(ours, stem * scale + shift, rtol=1e-4, atol=1e-3)
    shortcut = detector.backbone.res2[0].shortcut
    assert torch.equal(shortcut.weight, torch.tensor(blobs["res2_0_branch1_w"]))
    assert torch.equal(shortcut.norm.bias, torch.tensor(blobs["res2_0_branch1_bn_b"]))
    third = detector.backbone.res3[0].conv3
    assert torch.equal(third.weight, torch.tensor(blobs["res3_0_branch2c_w"]))
    refuse_random_constants(detector)


def detectron2s(strides_first: bool, pyramid: bool) -> nn.Module:
    reason = "Detectron2's own ResNet is no part of the stand-in"
    resnet = pytest.importorskip(
        "detectron2.modeling.backbone.resnet", reason=reason, exc_type=ImportError
    )
    stages = [
        resnet.ResNet.make_stage(
            resnet.BottleneckBlock,
            num_blocks=1,
            in_channels=inputs,
            out_channels=4 * width,
            bottleneck_channels=width,
            stride_per_block=[stride],
            stride_in_1x1=strides_first,
            norm="FrozenBN",
        )
        for inputs, width, stride in ((64, 64, 1), (256, 128, 2), (512, 256, 2))
    ]
    stem = resnet.BasicStem(norm="FrozenBN")
    net = resnet.ResNet(stem, stages, out_features=["res2", "res3", "res4"], freeze_at=2)
    if not pyramid:
        return net
    from detectron2.modeling.backbone.fpn import FPN

    return FPN(net, ["res2", "res3", "res4"], 8)


@pytest.mark.parametrize("pyramid", [False, True])
def test_detectron2_reads_the_same_but_for_the_colours(tmp_path: Path, pyramid: bool) -> None:
    theirs = Detector(detectron2s(strides_first=True, pyramid=pyramid))
    ours = Detector(detectron2s(strides_first=True, pyramid=pyramid))
    with pytest.raises(UserError, match="random constants"):
        refuse_random_constants(ours)
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps(caffe2_blobs(), protocol=2))
    DetectionCheckpointer(theirs).load(str(tmp_path / "R-50.pkl"))
    start(ours, tmp_path / "R-50.pkl")
    bottom = "backbone.bottom_up." if pyramid else "backbone."
    expected = {k: v for k, v in theirs.state_dict().items() if k.startswith(bottom)}
    stem = expected[f"{bottom}stem.conv1.weight"]
    turned = stem.flip(1) * torch.tensor(STD)[:, None, None]
    expected[f"{bottom}stem.conv1.weight"] = turned
    assert len(expected) > 50
    for name, value in expected.items():
        torch.testing.assert_close(ours.state_dict()[name], value, msg=name)


def test_files_that_torchvisions_weights_were_converted_to(tmp_path: Path) -> None:
    backbone = ResNet(strides_first=False)
    weights = {name: value.numpy() for name, value in backbone.state_dict().items()}
    weights["stem.fc.weight"] = np.zeros((5, 2048), dtype=np.float32)
    content = {"model": weights, "__author__": "torchvision", "matching_heuristics": True}
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps(content, protocol=2))
    detector = Detector(ResNet(strides_first=False))
    start(detector, tmp_path / "R-50.pkl")
    for name, value in backbone.state_dict().items():
        torch.testing.assert_close(detector.backbone.state_dict()[name], value)


@pytest.mark.parametrize(
    ("strides_first", "sentence"),
    [
        (True, r"resnet.pth \(torchvision\) stride in the second \(3x3\).*stride_in_1x1=False"),
        (False, r"R-50.pkl \(Caffe2\) stride in the first \(1x1\).*stride_in_1x1=True"),
    ],
)
def test_strides_elsewhere_are_refused(tmp_path: Path, strides_first: bool, sentence: str) -> None:
    path = tmp_path / ("resnet.pth" if strides_first else "R-50.pkl")
    if strides_first:
        torch.save(torchvisions().state_dict(), path)
    else:
        path.write_bytes(pickle.dumps(caffe2_blobs(), protocol=2))
    with pytest.raises(UserError, match=sentence):
        start(Detector(ResNet(strides_first)), path)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    weights = torchvisions().state_dict()
    del weights["layer1.0.conv2.weight"]
    weights["layer2.0.conv1.weight"] = torch.zeros(7, 256, 1, 1)
    torch.save(weights, tmp_path / "resnet.pth")
    sentence = r"missing in the file \(res2.0.conv2.weight\).*res3.0.conv1.weight: \(7, 256"
    with pytest.raises(UserError, match=sentence):
        start(Detector(ResNet(strides_first=False)), tmp_path / "resnet.pth")
    with pytest.raises(UserError, match=r"model.backbone is a Conv2d; .*backbone.pretrained"):
        start(Detector(nn.Conv2d(3, 3, 1)), tmp_path / "resnet.pth")


def test_a_pickle_of_anything_else_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "R-50.pkl").write_bytes(pickle.dumps({"model": {"a": Path("x")}}))
    with pytest.raises(UserError, match=r"R-50.pkl is not a readable checkpoint: it holds a path"):
        start(Detector(ResNet(True)), tmp_path / "R-50.pkl")


def test_random_constants_are_refused() -> None:
    with pytest.raises(UserError, match=r"9 random constants \(stem.conv1.norm, .*R-50.pkl"):
        refuse_random_constants(Detector(ResNet(strides_first=True)))
    own = nn.Conv2d(3, 3, 1).requires_grad_(False)  # who wrote it may have loaded its weights
    refuse_random_constants(Detector(own))
    own.__class__ = type("Conv2d", (nn.Conv2d,), {"__module__": "detectron2.modeling.backbone"})
    with pytest.raises(UserError, match=r"2 random constants \(weight, "):
        refuse_random_constants(Detector(own))
