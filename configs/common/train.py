"""How long, where and how precisely to train: the options of the training loop."""

from detectron2.config import LazyCall as L

from hdetr_d2.engine.early_stopping import EarlyStopping

train = dict(
    output_dir="output",
    init_checkpoint="",  # weights to start from; empty: what the backbone's own option says
    device="auto",  # auto, cpu, cuda, cuda:1
    seed=42,
    deterministic=False,  # no operations whose result differs from run to run
    epochs=12,
    max_iter=None,  # None: epochs x iterations_per_epoch; a number wins over epochs
    iterations_per_epoch=None,  # written when the size of the data set is known
    reference_batch=None,  # optimizer.lr is for this total batch, and follows; None: it stays
    accumulate=1,  # micro-batches of one optimizer step
    amp=dict(enabled=False, dtype="bfloat16"),  # bfloat16 or float16; float16 needs CUDA
    matmul_precision="auto",  # of float32: on a GPU high, which is TF32; highest; medium
    cuda_graphs=False,  # forward and backward recorded and repeated: for images of a fixed size
    compile=[],  # parts that torch.compile compiles: backbone, neck, encoder, decoder
    clip_grad_norm=0.1,  # None: no clipping
    max_bad_steps=20,  # as many non-finite steps in a row end the run; each of them is skipped
    keep_bad_steps=0,  # so many of them are kept with batch, random state and weights, to repeat
    timeout_minutes=30,  # so long a process waits for the others
    host_timeout_seconds=60,  # so long nothing may be heard of another host
    ema=dict(enabled=False, decay=0.9998),
    checkpoint=dict(period_epochs=1, keep=3, best_metric="bbox/AP"),
    eval_period_epochs=1,  # 0: only at the end
    # Ends when so many evaluations in a row bring no better metric; null: never
    early_stopping=L(EarlyStopping)(metric="bbox/AP", patience=None, mode="max", min_change=0.0),
    validation_loss=dict(period_epochs=0),  # the losses on the validation data; 0: not asked for
    log_period=20,
    wandb=dict(enabled=False, project=None, name=None),
    mlflow=dict(enabled=False, experiment="hdetr_d2", name=None),
    parallel="ddp",  # each process has all of the model; fsdp2: a part of it, for large models
    ddp=dict(),  # options of DistributedDataParallel
    fsdp2=dict(min_parameters=100_000),  # smaller blocks and layers are exchanged with the rest
    resume_with_changes=False,  # True: --resume goes on although model, schedule or data differ
)
