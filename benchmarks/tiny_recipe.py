"""The smallest training with all parts of a long one: generated images, a loading process, a hybrid
branch, denoising, a moving average, checkpoints and evaluations.
"""

from ..configs.quickstart.deformable_detr_shapes import (
    data,
    dataloader,
    lr_multiplier,
    model,
    optimizer,
    train,
)

data.generate.update(num_train=64, num_val=8, image_size=64, max_objects=3)
dataloader.train.update(total_batch_size=1, num_workers=1)
dataloader.test.num_workers = 1

model.freeze = []
model.backbone.update(
    name="test_resnet", pretrained=False, frozen=0, norm="gn", out_features=["res3", "res4", "res5"]
)
model.neck.update(in_shapes=[48, 192, 96], out_channels=32, num_levels=3)
model.encoder.sizes.update(num_heads=4, feedforward_dim=48)
model.encoder.num_layers = 1
model.decoder.num_layers = 2
model.query_selection.num_queries = 10
model.postprocessing.num_select = 10
for scheme, size in zip(
    model.schemes, ({"num_queries": 10, "repeats": 2}, {"max_queries": 10}), strict=True
):
    scheme.update(size)

optimizer.lr = 2e-4
lr_multiplier.final = 0.1  # every step changes the weights until the end
train.device = "cpu"
train.checkpoint.keep = 2
