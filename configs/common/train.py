"""Options of the training loop: duration, device, precision and more."""

from detectron2.config import LazyCall as L

from hdetr_d2.engine.early_stopping import EarlyStopping

train = dict(
    output_dir="output",
    init_checkpoint="",  # initial weights; empty: see the backbone's own option
    device="auto",  # auto, cpu, cuda, cuda:1
    seed=42,
    deterministic=False,  # use no operations whose results differ between runs
    epochs=12,
    max_iter=None,  # None: epochs x iterations_per_epoch; a number takes precedence
    iterations_per_epoch=None,  # set when the size of the data set is known
    # The total batch for which optimizer.lr is meant, so that it is scaled; None: it is not
    reference_batch=None,
    accumulate=1,  # micro-batches per optimizer step
    amp=dict(enabled=False, dtype="bfloat16"),  # bfloat16 or float16; float16 needs CUDA
    # Of float32 products: auto is high (TF32) on a GPU; or highest, high, medium
    matmul_precision="auto",
    cuda_graphs=False,  # record and replay forward and backward: for images of a fixed size
    compile=[],  # parts to compile with torch.compile: backbone, neck, encoder, decoder
    clip_grad_norm=0.1,  # None: no clipping
    max_bad_steps=20,  # this many consecutive non-finite steps end the run; each of them is skipped
    # Store this many of them, with batch, random state and weights, to repeat them
    keep_bad_steps=0,
    timeout_minutes=30,  # how long a process waits for the others
    host_timeout_seconds=60,  # maximum time without a sign of life from another host
    ema=dict(enabled=False, decay=0.9998),
    checkpoint=dict(period_epochs=1, keep=3, best_metric="bbox/AP"),
    eval_period_epochs=1,  # 0: only at the end
    # Ends after this many consecutive evaluations without improvement; null: never
    early_stopping=L(EarlyStopping)(metric="bbox/AP", patience=None, mode="max", min_change=0.0),
    validation_loss=dict(period_epochs=0),  # period of the losses on the validation data; 0: never
    log_period=20,
    wandb=dict(enabled=False, project=None, name=None),
    mlflow=dict(enabled=False, experiment="hdetr_d2", name=None),
    parallel="ddp",  # each process has the whole model; fsdp2: a part of it, for large models
    ddp=dict(),  # options of DistributedDataParallel
    fsdp2=dict(min_parameters=100_000),  # smaller blocks and layers are exchanged with the rest
    resume_with_changes=False,  # True: --resume continues even if model, schedule or data differ
)
