"""Where, and how precisely, to compute."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from hdetr_d2.errors import UserError

AMP_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
MATMUL_PRECISIONS = ("auto", "highest", "high", "medium")


def choose_device(name: str, local_rank: int = 0, *, option: str = "train.device") -> torch.device:
    """The device that an option means: `auto` is CUDA where there is one, else the CPU.

    Args:
        local_rank: number of this process on its machine; `cuda` without a number is that device.
        option: what the user knows the name by.

    Raises:
        UserError: an unknown name, or a CUDA device that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"{option}={name} is no device: auto, cpu, cuda or cuda:0")
    if device.type == "cpu":
        return device
    if not torch.cuda.is_available():
        raise UserError(
            f"{option}={name}, but CUDA is not available here: set {option}=cpu (or auto)"
        )
    index = local_rank if device.index is None else device.index
    if index >= torch.cuda.device_count():
        raise UserError(
            f"CUDA device {index} is asked for, but there are {torch.cuda.device_count()}"
        )
    return torch.device("cuda", index)


def set_matmul_precision(name: str, device: torch.device) -> None:
    """How precisely this process multiplies matrices of float32.

    Args:
        name: of `torch.set_float32_matmul_precision`: highest, high (TF32 on a GPU) or medium
            (bfloat16, also on processors that multiply it); auto is high on a CUDA device, as
            PyTorch's convolutions are there, and highest elsewhere.

    Raises:
        UserError: another name.
    """
    if name not in MATMUL_PRECISIONS:
        known = ", ".join(MATMUL_PRECISIONS)
        raise UserError(f"train.matmul_precision={name} is none of {known}")
    if name == "auto":
        name = "high" if device.type == "cuda" else "highest"
    torch.set_float32_matmul_precision(name)


@dataclass(frozen=True)
class Precision:
    """The floating-point type of the forward pass on a kind of device; None: float32 throughout."""

    device_type: str
    dtype: torch.dtype | None = None

    @classmethod
    def choose(cls, *, enabled: bool, dtype: str, device: torch.device) -> "Precision":
        """What `train.amp` means on `device`.

        Raises:
            UserError: an unknown type, or float16 without CUDA.
        """
        if dtype not in AMP_TYPES:
            raise UserError(f"train.amp.dtype={dtype} is none of {', '.join(AMP_TYPES)}")
        return cls.of(dtype, device, option="train.amp.dtype") if enabled else cls(device.type)

    @classmethod
    def of(cls, name: str, device: torch.device, *, option: str) -> "Precision":
        """The precision of a name; `option` is the one that it was given to.

        Raises:
            UserError: an unknown name, or float16 without CUDA.
        """
        types = {"float32": None, **AMP_TYPES}
        if name not in types:
            raise UserError(f"{option}={name} is none of {', '.join(types)}")
        if name == "float16" and device.type != "cuda":
            raise UserError(
                f"{option}=float16 needs CUDA, and the device is {device.type}: use bfloat16"
            )
        return cls(device.type, types[name])

    @property
    def scales_loss(self) -> bool:
        """Whether gradients would underflow without a scaled loss."""
        return self.dtype is torch.float16

    def autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device_type, dtype=self.dtype, enabled=self.dtype is not None)

    def scaler(self) -> torch.amp.GradScaler:
        """Keeps gradients that are not finite from the weights; scales the loss in float16."""
        return torch.amp.GradScaler(
            self.device_type, init_scale=2.0**16 if self.scales_loss else 1.0
        )
