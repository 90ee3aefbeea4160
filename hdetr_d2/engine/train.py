"""A complete training, as described by a resolved config."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ContextDecorator, contextmanager
from typing import Any

import torch
from detectron2.config import instantiate
from detectron2.engine import HookBase, hooks
from detectron2.utils import comm
from detectron2.utils.events import EventWriter
from omegaconf import DictConfig
from torch import nn
from torch.optim import Optimizer

from hdetr_d2.checkpoint import Checkpointer
from hdetr_d2.engine.bad_step_files import BadStepFiles
from hdetr_d2.engine.build import (
    build,
    build_model,
    build_optimizer,
    build_parallel,
    build_train_loader,
    build_validation_loader,
    options_of,
)
from hdetr_d2.engine.class_names import get_class_names
from hdetr_d2.engine.compiling import compile_parts
from hdetr_d2.engine.config import config_text, count_iterations, plain_config
from hdetr_d2.engine.device import Precision, choose_device
from hdetr_d2.engine.ema import ModelEma
from hdetr_d2.engine.evaluate import Evaluation
from hdetr_d2.engine.graphs import CudaGraphs, Record
from hdetr_d2.engine.hooks import (
    CheckpointHook,
    EvaluationHook,
    ForgetHook,
    LearningRateHook,
    is_evaluated,
)
from hdetr_d2.engine.optim import OptimizerState
from hdetr_d2.engine.parallel import Parallel
from hdetr_d2.engine.preemption import Preemption
from hdetr_d2.engine.start import has_run, starting_point, take_folder
from hdetr_d2.engine.trainer import Trainer
from hdetr_d2.engine.validation_loss import ValidationLoss, validation_losses
from hdetr_d2.engine.writers import build_writers
from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)


def do_train(cfg: DictConfig, *, resume: bool) -> None:
    """Trains according to the resolved config.

    Args:
        resume: continue the run in `train.output_dir`, if there is one.

    Raises:
        UserError: anything the user can fix.
        Preempted: a signal requested the end; all progress is saved.
    """
    timeout = cfg.train.get("timeout_minutes", 30)  # older configs lack it
    with Preemption(timeout_minutes=timeout) as preemption:
        _train(cfg, preemption, resume=resume)


def _train(cfg: DictConfig, preemption: Preemption, *, resume: bool) -> None:
    device = choose_device(cfg.train.device, comm.get_local_rank())
    amp = cfg.train.amp
    precision = Precision.choose(enabled=amp.enabled, dtype=amp.dtype, device=device)
    parallel = build_parallel(cfg)
    goes_on = resume and has_run(cfg.train.output_dir)
    model = build_model(cfg, weights_follow=goes_on or bool(cfg.train.init_checkpoint))
    optimizer = build_optimizer(cfg.optimizer, model)
    ema = ModelEma(model, decay=cfg.train.ema.decay) if cfg.train.ema.enabled else None
    scaler = precision.scaler()
    states: dict[str, Any] = {"optimizer": OptimizerState(optimizer)}
    if ema is not None:
        states["ema"] = ema
    if precision.scales_loss:
        states["scaler"] = scaler
    metadata = {"class_names": get_class_names(cfg), "config": config_text(cfg)}
    checkpointer = Checkpointer(model, cfg.train.output_dir, metadata=metadata, **states)
    start = starting_point(cfg, checkpointer, resume=resume)
    # Built now, because its errors would otherwise appear only after the first epochs.
    evaluation = Evaluation(cfg, precision)
    parallel.shard(model, optimizer)
    if ema is not None:
        parallel.shard(ema.module)
    compile_parts(model, parts_to_compile(cfg))
    trainer = Trainer(
        model=model,
        make_loader=lambda iteration: build_train_loader(cfg, iteration),
        optimizer=optimizer,
        scaler=scaler,
        precision=precision,
        device=device,
        seed=cfg.train.seed,
        parallel=parallel,
        accumulate=cfg.train.accumulate,
        clip_grad_norm=cfg.train.clip_grad_norm,
        max_bad_steps=cfg.train.max_bad_steps,
        log_period=cfg.train.log_period,
        ema=ema,
        bad_step_files=build_bad_step_files(cfg, model, metadata),
        record=build_record(cfg, device),
    )
    evaluated = model if ema is None else ema.module
    log_plan(cfg)
    if start >= cfg.train.max_iter:
        each = cfg.train.iterations_per_epoch
        by_epochs = cfg.train.max_iter == count_iterations(cfg.train.epochs, each)
        length = "train.epochs" if by_epochs else "train.max_iter"
        logger.warning("All %d iterations are done; a larger %s would continue", start, length)
        if is_evaluated(checkpointer, start):
            return
    trainer.register_hooks(
        [
            hooks.CallbackHook(before_train=lambda _: take_folder(cfg, fresh=not goes_on)),
            *build_hooks(
                cfg,
                evaluated,
                evaluation,
                precision,
                optimizer,
                checkpointer,
                parallel,
                preemption,
                start,
            ),
        ]
    )
    trainer.train(start, cfg.train.max_iter)


def build_hooks(
    cfg: DictConfig,
    evaluated: nn.Module,
    evaluation: Evaluation,
    precision: Precision,
    optimizer: Optimizer,
    checkpointer: Checkpointer,
    parallel: Parallel,
    preemption: Preemption,
    start: int,
) -> list[HookBase | None]:
    """The hooks of a training, in order.

    Args:
        evaluated: the model itself, or its moving average.
        precision: precision of the forward pass in training and validation.
        start: number of completed iterations.
    """
    each = cfg.train.iterations_per_epoch
    options = cfg.train.checkpoint
    writers = build_writing(cfg, start) if comm.is_main_process() else []
    checkpoints = CheckpointHook(
        checkpointer,
        period=count_iterations(options.period_epochs, each),
        keep=options.keep,
    )
    preemption.save, preemption.saves_together = checkpoints.save, parallel.saves_together

    @contextmanager
    def looking() -> Iterator[None]:
        with parallel.whole(evaluated), preemption.interruptible():
            yield

    return [
        hooks.IterationTimer(),
        LearningRateHook(optimizer, build(cfg, "lr_multiplier")),
        checkpoints,
        preemption,
        build_validation_loss(cfg, evaluated, precision, looking),
        EvaluationHook(
            looking()(lambda: evaluation(evaluated)),
            period=count_iterations(cfg.train.eval_period_epochs, each),
            checkpointer=checkpointer,
            weights=evaluated.state_dict,
            best_metric=options.best_metric,
            best=checkpointer.metadata.get("best_metric"),
            writers=writers,
        ),
        build_early_stopping(cfg, checkpointer),
        hooks.PeriodicWriter(writers, period=cfg.train.log_period),
        ForgetHook(period=cfg.train.log_period),
    ]


def build_validation_loss(
    cfg: DictConfig,
    evaluated: nn.Module,
    precision: Precision,
    looking: Callable[[], ContextDecorator],
) -> HookBase | None:
    """The hook for the losses on the validation data; None if it is not requested.

    Args:
        looking: returns the context manager within which the model is evaluated.
    """
    options = cfg.train.get("validation_loss")  # older configs lack it
    if options is None or not options.period_epochs:
        return None
    loader = build_validation_loader(cfg)

    @looking()
    def losses(progress: float) -> dict[str, float]:
        return validation_losses(evaluated, loader, progress, precision.autocast)

    return ValidationLoss(
        losses,
        period=count_iterations(options.period_epochs, cfg.train.iterations_per_epoch),
    )


def parts_to_compile(cfg: DictConfig) -> Sequence[str]:
    """The parts of the model to compile; raises UserError if they cannot be compiled."""
    parts = cfg.train.get("compile") or []  # older configs lack it
    if parts and cfg.train.parallel == "fsdp2":
        raise UserError("train.compile needs train.parallel=ddp")
    return parts


def build_record(cfg: DictConfig, device: torch.device) -> Record | None:
    """Returns what records the steps; None if they are not recorded.

    Raises:
        UserError: steps of this training cannot be recorded.
    """
    if not cfg.train.get("cuda_graphs", False):  # older configs lack it
        return None
    obstacles = {
        f"a GPU, and the training is on {device}": device.type != "cuda",
        "one process": comm.get_world_size() > 1,
        "train.accumulate=1": cfg.train.accumulate > 1,
        "train.keep_bad_steps=0": cfg.train.keep_bad_steps > 0,
    }
    for needed, missing in obstacles.items():
        if missing:
            raise UserError(f"train.cuda_graphs=true needs {needed}")
    return CudaGraphs()


def build_bad_step_files(
    cfg: DictConfig, model: nn.Module, metadata: Mapping[str, Any]
) -> BadStepFiles | None:
    """Returns the object that stores bad steps; None if it is not requested."""
    most = cfg.train.get("keep_bad_steps", 0)  # older configs lack it
    return (
        BadStepFiles(cfg.train.output_dir, most=most, model=model, metadata=metadata)
        if most
        else None
    )


def build_early_stopping(cfg: DictConfig, checkpointer: Checkpointer) -> HookBase | None:
    """Returns the hook that ends a training that has stopped improving; None if it is not
    requested.
    """
    node = cfg.train.get("early_stopping")  # older configs lack it
    if node is None:
        return None
    given = {
        "period": count_iterations(cfg.train.eval_period_epochs, cfg.train.iterations_per_epoch),
        "folder": cfg.train.output_dir,
        "save": lambda done: checkpointer.save("model_final", iteration=done),
    }
    with options_of("train.early_stopping"):
        return instantiate({**node, **given})


def build_writing(cfg: DictConfig, start: int) -> list[EventWriter]:
    """Builds the writers of metrics to the console, files and trackers."""
    return build_writers(
        folder=cfg.train.output_dir,
        start_iteration=start,
        max_iter=cfg.train.max_iter,
        iterations_per_epoch=cfg.train.iterations_per_epoch,
        wandb=cfg.train.wandb,
        mlflow=cfg.train.get("mlflow"),  # older configs lack it
        config=plain_config(cfg),
    )


def log_plan(cfg: DictConfig) -> None:
    """Logs batch size, learning rate and length of the training."""
    total = cfg.dataloader.train.total_batch_size
    processes, parts = comm.get_world_size(), cfg.train.accumulate
    logger.info(
        "Total batch %d = %d process(es) x %d micro-batch(es) x %d images; base learning rate %g; "
        "%d iterations, %d in an epoch; losses are divided by the targets of the total batch",
        total,
        processes,
        parts,
        total // (processes * parts),
        cfg.optimizer.lr,
        cfg.train.max_iter,
        cfg.train.iterations_per_epoch,
    )
