"""The quickstart's detector on shapes of 16 bits in five channels, half of which are in the last
two channels alone: pip install 'hdetr_d2[offline,channels]'.

Paper:     H-DETR, https://arxiv.org/abs/2207.13080; DINO, https://arxiv.org/abs/2203.03605
Command:   python train_net.py --config-file configs/quickstart/deformable_detr_shapes_channels.py
Minutes:   6 to 8 on two busy CPU cores
Published: none; docs/CHANNELS.md tells what to expect
"""

from .deformable_detr_shapes import data, dataloader, lr_multiplier, model, optimizer, train

data.channels = 5
# With data.channels=3 the same pictures lack the content of the other channels.
data.generate.update(
    root="datasets/shapes_${data.channels}_channels",
    image_size=96,
    channels="${data.channels}",
)
model.backbone.frozen = 0  # ImageNet's first convolution has three input channels
train.update(output_dir="output/quickstart_channels", epochs=2)
