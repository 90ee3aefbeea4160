"""Evaluation of a checkpoint, or of a model during training."""

import logging
from pathlib import Path
from typing import Any

from detectron2.evaluation import inference_on_dataset, print_csv_format
from detectron2.utils import comm
from omegaconf import DictConfig
from torch import nn

from hdetr_d2.checkpoint import (
    Checkpointer,
    load_for_inference,
    put_classes_in_order,
    read_checkpoint,
)
from hdetr_d2.engine.build import build, build_model
from hdetr_d2.engine.class_names import get_class_names
from hdetr_d2.engine.config import save_config
from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.start import compare_classes, has_run, require_as_many_classes
from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)


def do_eval(cfg: DictConfig) -> dict[str, Any]:
    """Evaluates `train.init_checkpoint`, or the last checkpoint in the output folder.

    Returns:
        The results, in the main process.

    Raises:
        UserError: neither exists, or the weights do not fit.
    """
    model = build_model(cfg, weights_follow=True)
    path, folder = cfg.train.init_checkpoint, cfg.train.output_dir
    if not path:
        if not has_run(folder):
            raise UserError(
                f"--eval-only needs weights: set train.init_checkpoint ({folder} holds none)"
            )
        path = Checkpointer(model, folder).get_checkpoint_file()
    names = get_class_names(cfg)
    require_as_many_classes(read_checkpoint(path, only_look=True).get("metadata", {}), names, path)
    metadata = load_for_inference(model, path)
    put_classes_in_order(model, names, metadata.get("class_names", names))
    compare_classes(metadata, names, path)
    iterations = metadata.get("iteration", "an unknown number of")
    logger.info("Evaluating %s, the weights after %s iterations", path, iterations)
    amp, device = cfg.train.amp, next(model.parameters()).device
    precision = Precision.choose(enabled=amp.enabled, dtype=amp.dtype, device=device)
    return Evaluation(cfg, precision)(model)


class Evaluation:
    """Evaluates models on `dataloader.test` in their current state; can be called repeatedly."""

    def __init__(self, cfg: DictConfig, precision: Precision) -> None:
        """Raises UserError if the options of loader or evaluator do not fit together."""
        self.cfg = cfg
        self.precision = precision
        self.loader = build(cfg, "dataloader.test")
        self.evaluator = build(cfg, "dataloader.evaluator")

    def __call__(self, model: nn.Module) -> dict[str, Any]:
        """Returns results in the form of Detectron2's evaluators in the main process, and {} in
        others.
        """
        with self.precision.autocast():
            results = inference_on_dataset(model, self.loader, self.evaluator)
        self.evaluator.reset()  # frees the memory of the predictions
        if comm.is_main_process():
            print_csv_format(results)
            if path := self.cfg.dataloader.evaluator.get("output_dir"):
                folder = Path(path)
                folder.mkdir(parents=True, exist_ok=True)
                save_config(self.cfg, folder / "config.yaml")  # records the config of these results
        return results or {}
