"""Device and precision of the computation."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from hdetr_d2.errors import UserError

AMP_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
MATMUL_PRECISIONS = ("auto", "highest", "high", "medium")


def choose_device(name: str, local_rank: int = 0, *, option: str = "train.device") -> torch.device:
    """The device selected by an option: `auto` is CUDA if available, otherwise the CPU.

    Args:
        local_rank: rank of this process on its machine; `cuda` without an index is the device of
            that index.
        option: name of the option, for error messages.

    Raises:
        UserError: an unknown name, or a CUDA device that does not exist.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"{option}={name} is not a device: auto, cpu, cuda or cuda:0")
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
    """Sets the precision of float32 matrix products in this process.

    Args:
        name: as for `torch.set_float32_matmul_precision`: highest, high (TF32 on a GPU) or medium
            (bfloat16, also on CPUs that support it). auto is high on a CUDA device, consistent with
            PyTorch's default for convolutions there, and highest elsewhere.

    Raises:
        UserError: an unknown name.
    """
    if name not in MATMUL_PRECISIONS:
        known = ", ".join(MATMUL_PRECISIONS)
        raise UserError(f"train.matmul_precision={name} is none of {known}")
    if name == "auto":
        name = "high" if device.type == "cuda" else "highest"
    torch.set_float32_matmul_precision(name)


@dataclass(frozen=True)
class Precision:
    """The floating-point type of the forward pass (None is float32 throughout), and the device
    type.
    """

    device_type: str
    dtype: torch.dtype | None = None

    @classmethod
    def choose(cls, *, enabled: bool, dtype: str, device: torch.device) -> "Precision":
        """The precision selected by `train.amp` on `device`.

        Raises:
            UserError: an unknown type, or float16 without CUDA.
        """
        if dtype not in AMP_TYPES:
            raise UserError(f"train.amp.dtype={dtype} is none of {', '.join(AMP_TYPES)}")
        return cls.of(dtype, device, option="train.amp.dtype") if enabled else cls(device.type)

    @classmethod
    def of(cls, name: str, device: torch.device, *, option: str) -> "Precision":
        """The precision named `name`; `option` is the option that selected it, for error messages.

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
        """Whether gradients would underflow without loss scaling."""
        return self.dtype is torch.float16

    def autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device_type, dtype=self.dtype, enabled=self.dtype is not None)

    def scaler(self) -> torch.amp.GradScaler:
        """Prevents non-finite gradients from reaching the weights; scales the loss in float16."""
        return torch.amp.GradScaler(
            self.device_type, init_scale=2.0**16 if self.scales_loss else 1.0
        )
