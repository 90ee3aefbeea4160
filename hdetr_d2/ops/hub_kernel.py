"""`ms_deform_attn` for the slot that Hugging Face's `kernels` provides for the deformable attention
of transformers, taken from this package instead of the network.
"""

from dataclasses import dataclass

from torch import nn

from hdetr_d2.ops.drop_in import transformers_forward


class MultiScaleDeformableAttention(nn.Module):
    """The layer that replaces that of transformers; it has neither weights nor state."""

    can_torch_compile = True
    has_backward = True
    forward = transformers_forward


@dataclass(frozen=True)
class HubKernel:
    """What a mapping of `kernels` names for a device, in the role of its own `LayerRepository`:

    kernels.register_kernel_mapping({"MultiScaleDeformableAttention": {"cuda": HubKernel()}})
    """

    layer_name: str = "MultiScaleDeformableAttention"

    def load(self) -> type[nn.Module]:
        """Returns the layer."""
        return MultiScaleDeformableAttention
