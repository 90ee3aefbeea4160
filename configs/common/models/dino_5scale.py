"""DINO (https://arxiv.org/abs/2203.03605), 5-scale, R50: also uses features of stride 4."""

from .dino import model

model.backbone.out_features = ["res2", "res3", "res4", "res5"]
model.neck.update(in_shapes=[256, 512, 1024, 2048], num_levels=5)
