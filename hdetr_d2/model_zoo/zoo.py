"""Configs and models by recipe names, or by names of checkpoints without a recipe."""

from contextlib import nullcontext

from detectron2.config import instantiate
from detectron2.data import MetadataCatalog
from omegaconf import DictConfig
from torch import nn

from hdetr_d2.checkpoint import load_for_inference
from hdetr_d2.engine.class_names import put_class_names
from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.device import choose_device
from hdetr_d2.engine.shipped import shipped_config
from hdetr_d2.errors import UserError
from hdetr_d2.model_zoo.download import converted
from hdetr_d2.model_zoo.imported import IMPORTED
from hdetr_d2.model_zoo.published import PUBLISHED, Published
from hdetr_d2.modeling.backbone import without_pretrained


def get_config_file(config_path: str) -> str:
    """The path of a recipe's file.

    Raises:
        UserError: there is no such recipe; the message suggests the most similar ones.
    """
    return shipped_config(config_path)


def get_checkpoint_url(config_path: str) -> str:
    """The URL of a published checkpoint, in its authors' format.

    Raises:
        UserError: there is no such recipe, or it has no published checkpoint.
    """
    return _published(config_path).url


def get_config(config_path: str, trained: bool = False) -> DictConfig:
    """The config of a recipe, with the classes of its data set if they are known without its files;
    or of a checkpoint without a recipe.

    Args:
        config_path: the recipe's name, or the checkpoint's, such as `detrex/dino_r50_4scale_12ep`.
        trained: set `train.init_checkpoint` to the published checkpoint, which is downloaded and
            converted once.

    Raises:
        UserError: there is no such recipe, or the published checkpoint is not available.
    """
    if config_path in IMPORTED:
        return _imported_config(config_path, trained)
    cfg = load_config(get_config_file(config_path))
    if names := MetadataCatalog.get(cfg.data.val_name).get("thing_classes"):
        put_class_names(cfg, names)
    if trained:
        checkpoint = converted(_published(config_path))
        cfg.train.init_checkpoint = str(checkpoint)
        # Images are resized as by its authors.
        cfg.data.resize = load_config(str(checkpoint.with_name("config.yaml"))).data.resize
    return cfg


def _imported_config(name: str, trained: bool) -> DictConfig:
    if not trained:
        raise UserError(
            f"{name} is a trained model, and nothing tells how its training began: the recipe that "
            f"comes nearest is {IMPORTED[name].recipe}"
        )
    checkpoint = converted(IMPORTED[name])
    cfg = load_config(str(checkpoint.with_name("config.yaml")))
    cfg.train.init_checkpoint = str(checkpoint)
    return cfg


def get(config_path: str, trained: bool = True, device: str | None = None) -> nn.Module:
    """The model of a recipe, or of a checkpoint without one, in training mode.

    Args:
        config_path: see `get_config`.
        trained: load the published weights; otherwise initialise as for a training of the recipe.
        device: "cpu", "cuda", "cuda:1", ...; None: CUDA if available.

    Raises:
        UserError: see `get_config`; the device is missing, or the classes are not known.
    """
    cfg = get_config(config_path, trained)
    if cfg.data.num_classes is None:
        raise UserError(
            f"the classes of {cfg.data.val_name!r} are not known without its files: take "
            f"get_config({config_path!r}), set data.num_classes and instantiate cfg.model"
        )
    with without_pretrained() if trained else nullcontext():
        model = instantiate(cfg.model)
    if trained:
        load_for_inference(model, cfg.train.init_checkpoint)
    return model.to(choose_device(device or "auto", option="device"))


def _published(config_path: str) -> Published:
    if config_path in IMPORTED:
        return IMPORTED[config_path]
    get_config_file(config_path)  # raises if there is no such recipe
    name = config_path.removeprefix("configs/")
    if name not in PUBLISHED:
        raise UserError(f"no checkpoint of {name} is published (docs/MODEL_ZOO.md lists those)")
    return PUBLISHED[name]
