"""How the scripts of published models resize images, as config options; see `ResizeRule`."""


def resize_options(rounding: str, interpolation: str) -> dict[str, str]:
    """The options for the names of both parts of a rule."""
    return {"data.resize.rounding": rounding, "data.resize.interpolation": interpolation}


DETR = resize_options("detr", "pillow")
"""DETR and scripts derived from it: Deformable-DETR, H-Deformable-DETR, DINO."""
DETECTRON2 = resize_options("detectron2", "pillow")
"""Detectron2 and projects that use its mappers, such as detrex."""
MMDETECTION = resize_options("mmdetection", "opencv")
TRANSFORMERS = resize_options("transformers", "torch")
"""Hugging Face's processors; those with the PIL backend have the interpolation "pillow"."""
