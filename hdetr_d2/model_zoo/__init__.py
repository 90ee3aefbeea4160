"""Recipes and published checkpoints by name, like Detectron2's model zoo.

A recipe's name is its path below `configs/`, such as `hdetr/h_deformable_detr_r50_12ep.py`; names
of projects begin with `projects/`. docs/MODEL_ZOO.md lists them. Also models shared by users, on
the Hugging Face hub or as folders: docs/HUB.md.
"""

from hdetr_d2.model_zoo.hub import from_pretrained, push
from hdetr_d2.model_zoo.zoo import get, get_checkpoint_url, get_config, get_config_file

__all__ = [
    "from_pretrained",
    "get",
    "get_checkpoint_url",
    "get_config",
    "get_config_file",
    "push",
]
