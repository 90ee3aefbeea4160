"""One-to-one matching and the three hybrid schemes side by side, small enough for a CPU.

Paper:     DETRs with Hybrid Matching, https://arxiv.org/abs/2207.13080
Command:   python tools/compare_schemes.py output/compare_schemes
Hours:     1 to 2 on two CPU cores, for three seeds of each scheme
Published: none

In hybrid schemes a target has 3 queries on average over layers and epochs. (7 of 1800 in the paper;
such small images provide few queries, most of which must stay background.) All schemes detect with
the same 100 queries.
"""

from ..common.data.shapes import data, dataloader
from ..common.models.small import model
from ..common.runs.small import lr_multiplier, optimizer, train
from ..common.schemes import hybrid_branch, hybrid_epoch, hybrid_layer, one_to_one

model.encoder.num_layers = 1
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
train.output_dir = "output/compare_schemes"
