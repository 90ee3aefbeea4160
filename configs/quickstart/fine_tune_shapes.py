"""The quickstart's detector learns two classes that it has never seen, ring and star, from the 27
of 40 images that have any; the shapes that it knows are in them, too, and count as background.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080; DINO, https://arxiv.org/abs/2203.03605
Command:   make demo; then python train_net.py --config-file configs/quickstart/fine_tune_shapes.py
Minutes:   1 on two CPU cores
Published: none; docs/FINETUNE.md tells what to expect
"""

from .deformable_detr_shapes import data, dataloader, lr_multiplier, model, optimizer, train

data.generate.update(root="datasets/shapes_few", num_train=40, num_val=100, num_classes=6)
data.skip_classes = ["circle", "square", "triangle", "cross"]
model.freeze = []
optimizer.lr = 1.5e-3
train.update(
    init_checkpoint="output/quickstart/model_best.pth",
    output_dir="output/fine_tuned",
    epochs=16,
    eval_period_epochs=0,
)
train.checkpoint.period_epochs = 16
