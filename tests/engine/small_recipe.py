"""A recipe as the shipped ones are, but small enough to be trained in a test."""

from ...configs.common.data.shapes import data, dataloader
from ...configs.common.models.deformable_detr_pp import model
from ...configs.common.optim import optimizer
from ...configs.common.schedule import lr_multiplier
from ...configs.common.train import train

data.update(train_name="small_train", val_name="small_val")
data.generate.update(num_train=9, num_val=3, image_size=64)
dataloader.train.update(total_batch_size=2, num_workers=0)
dataloader.test.num_workers = 0

model.backbone.update(
    name="test_resnet", pretrained=False, frozen=0, norm="gn", out_features=["res3", "res4", "res5"]
)
model.neck.update(in_shapes=[48, 192, 96], out_channels=64, num_levels=3)
model.encoder.sizes.update(num_heads=4, feedforward_dim=64)
model.encoder.num_layers = 1
model.decoder.num_layers = 2
model.query_selection.num_queries = 12

optimizer.lr = 2e-4
lr_multiplier.milestones = [1]
train.update(device="cpu", epochs=2)
train.ema.enabled = True
