"""How the scripts of published models resize images, as config options; see `ResizeRule`."""


def resize_options(rounding: str, interpolation: str) -> dict[str, str]:
    """The options of a rule by the names of its two parts."""
    return {"data.resize.rounding": rounding, "data.resize.interpolation": interpolation}


DETR = resize_options("detr", "pillow")
"""Of DETR and the scripts that were made from it: Deformable-DETR, H-Deformable-DETR, DINO."""
DETECTRON2 = resize_options("detectron2", "pillow")
"""Of Detectron2 and of what reads its images by its mappers, as detrex does."""
MMDETECTION = resize_options("mmdetection", "opencv")
TRANSFORMERS = resize_options("transformers", "torch")
"""Of Hugging Face's processors; those of its PIL backend have the interpolation "pillow"."""
