"""Evaluation of a checkpoint, or of a model in training."""

import logging
from typing import Any

from detectron2.config import instantiate
from detectron2.evaluation import inference_on_dataset, print_csv_format
from detectron2.utils import comm
from omegaconf import DictConfig
from torch import nn

from hdetr_d2.checkpoint import Checkpointer, load_for_inference
from hdetr_d2.engine.build import build_model
from hdetr_d2.engine.device import Precision
from hdetr_d2.engine.start import has_run
from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)


def do_eval(cfg: DictConfig) -> dict[str, Any]:
    """Evaluate `train.init_checkpoint`, or without one the last checkpoint of the output folder.

    Returns:
        The results, in the main process.

    Raises:
        UserError: there is neither, or its weights do not fit.
    """
    model = build_model(cfg, weights_follow=True)
    path, folder = cfg.train.init_checkpoint, cfg.train.output_dir
    if not path:
        if not has_run(folder):
            raise UserError(
                f"--eval-only needs weights: set train.init_checkpoint ({folder} holds none)"
            )
        path = Checkpointer(model, folder).get_checkpoint_file()
    metadata = load_for_inference(model, path)
    iterations = metadata.get("iteration", "an unknown number of")
    logger.info("Evaluating %s, the weights after %s iterations", path, iterations)
    return evaluate(cfg, model)


def evaluate(cfg: DictConfig, model: nn.Module) -> dict[str, Any]:
    """Evaluate a model as it is on `dataloader.test`.

    Returns:
        The results as Detectron2's evaluators give them, in the main process; {} in the others.
    """
    device = next(model.parameters()).device
    amp = cfg.train.amp
    precision = Precision.choose(enabled=amp.enabled, dtype=amp.dtype, device=device)
    loader, evaluator = instantiate(cfg.dataloader.test), instantiate(cfg.dataloader.evaluator)
    with precision.autocast():
        results = inference_on_dataset(model, loader, evaluator)
    if comm.is_main_process():
        print_csv_format(results)
    return results or {}
