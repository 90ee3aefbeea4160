"""The base of backbones, the registry of meta-architectures, and a detector's last step."""

from detectron2._subset import absent
from detectron2.modeling.backbone import Backbone
from detectron2.modeling.meta_arch import META_ARCH_REGISTRY
from detectron2.modeling.postprocessing import detector_postprocess

__all__ = ["META_ARCH_REGISTRY", "Backbone", "detector_postprocess"]

__getattr__ = absent(__name__)
