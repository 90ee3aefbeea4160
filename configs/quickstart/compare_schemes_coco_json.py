"""The same comparison as on shapes, on your own data in COCO's format, at a size for a CPU.

Paper:     DETRs with Hybrid Matching, https://arxiv.org/abs/2207.13080
Command:   python tools/compare_schemes.py output/compare_schemes_json
           --config-file configs/quickstart/compare_schemes_coco_json.py
           --set data.train_json=train.json data.train_images=train/
           data.val_json=val.json data.val_images=val/
Published: none

All schemes detect with the same 300 queries.
"""

from ..custom.deformable_detr_coco_json_offline import data, dataloader
from .compare_schemes_shapes import contenders, lr_multiplier, model, optimizer, train

model.query_selection.num_queries = 300
contenders["hybrid_branch"][0].num_queries = 600
lr_multiplier.warmup_epochs = 1
train.update(output_dir="output/compare_schemes_json", epochs=12, eval_period_epochs=3)
