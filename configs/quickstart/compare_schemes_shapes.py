"""One-to-one matching and the three hybrid schemes side by side, small enough for a CPU.

Paper:     DETRs with Hybrid Matching, https://arxiv.org/abs/2207.13080
Command:   python tools/compare_schemes.py output/compare_schemes
Hours:     1 to 2 on two CPU cores, for three seeds of each scheme
Published: none

A target of a hybrid scheme has 3 queries on average over layers and epochs. (In the paper it has 7,
of 1800; an image as small as these gives few queries, most of which must stay background.) All
schemes detect with the same 100 queries.
"""

from ..common.data.shapes import data, dataloader
from ..common.models.deformable_detr_pp import model
from ..common.optim import optimizer
from ..common.schedule import cosine_multiplier as lr_multiplier
from ..common.schemes import hybrid_branch, hybrid_epoch, hybrid_layer, one_to_one
from ..common.train import train

model.backbone.update(name="resnet10t", pretrained=False, frozen=0, norm="gn")
model.neck.update(in_shapes=[128, 256, 512], out_channels=128, num_levels=3)
model.encoder.sizes.update(num_heads=4, feedforward_dim=256)
model.encoder.num_layers = 1
model.decoder.num_layers = 3
model.query_selection.num_queries = 100

hybrid_branch.update(num_queries=200, repeats=2)
hybrid_epoch.repeats = 4
hybrid_layer.update(repeats=4, num_layers=2)
contenders = dict(
    one_to_one=[one_to_one],
    hybrid_branch=[hybrid_branch],
    hybrid_epoch=[hybrid_epoch],
    hybrid_layer=[hybrid_layer],
)

dataloader.train.update(total_batch_size=4, num_workers=1)
optimizer.lr = 5e-4
optimizer.params.rules = []  # nothing is pretrained, so everything learns at one rate
lr_multiplier.warmup_epochs = 0.5
train.update(output_dir="output/compare_schemes", epochs=6, clip_grad_norm=1.0)
