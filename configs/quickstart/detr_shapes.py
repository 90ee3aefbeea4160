"""A small DETR, with dense attention alone, that learns the generated "shapes" data set: the
transformer from random weights, the backbone from ImageNet's, as in the paper.

Paper:     DETR, https://arxiv.org/abs/2005.12872
Command:   python train_net.py --config-file configs/quickstart/detr_shapes.py
Published: none; docs/QUICKSTART.md tells what to expect
"""

from ..common.backbones import efficientnet_lite0_offline
from ..common.data.shapes import data, dataloader
from ..common.models.detr import model
from ..common.runs.small import lr_multiplier, optimizer, train

model.merge_with(efficientnet_lite0_offline)
model.backbone.out_features = ["res4"]
model.neck.update(in_shapes=[112], out_channels=128)
# Pre-norm allows a higher rate than post-norm, and the wavelengths of the positions are no longer
# than a small image needs: with the paper's choices the losses hardly decrease at first.
model.encoder.sizes.update(num_heads=4, feedforward_dim=256, dropout=0.0, pre_norm=True)
model.encoder.position.temperature = 20.0
model.encoder.num_layers = 2
model.decoder.num_layers = 3
model.query_selection.num_queries = 40
optimizer.lr = 5e-4

dataloader.train.update(total_batch_size=4, num_workers=1)
train.update(output_dir="output/quickstart_detr", epochs=30, eval_period_epochs=5)
