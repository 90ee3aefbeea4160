"""The routed branch, as the paper describes it and as its authors' code trains it; a recipe puts
one of the two into `model.schemes`. The README has a table of the differences.
"""

from copy import deepcopy

from detectron2.config import LazyCall as L

from hdetr_d2.projects.route_detr import (
    CosineWarmup,
    Descriptor,
    RoutedBranch,
    RouterSizes,
    ScoreConfidence,
    Similarity,
    SoftmaxConfidence,
)

# The text that could be had leaves rank, end points of the weight and length of its warm-up open.
paper = L(RoutedBranch)(
    sizes=L(RouterSizes)(
        dim="${model.neck.out_channels}",
        hidden_dim=64,
        pair_dim=16,
        rank=4,
        gate_rank=32,
        concatenated=True,
        scaled=False,
        one_signed=False,
        limit=None,
    ),
    descriptor=L(Descriptor)(
        similarity=L(Similarity)(placed=False, rectified=False, over_all=False),
        confidence=L(ScoreConfidence)(class_loss="${model.criterion.class_loss}"),
        least_area=1e-6,
    ),
    num_layers="${model.decoder.num_layers}",
    last=None,
    strength=L(CosineWarmup)(
        first=1.0, last=1.0, after=0, over=0, epochs="${train.epochs}", once_an_epoch=False
    ),
    weight=L(CosineWarmup)(
        first=0.3, last=0.7, after=1, over=4, epochs="${train.epochs}", once_an_epoch=False
    ),
)

released_code = deepcopy(paper)
released_code.sizes.update(rank=16, concatenated=False, scaled=True, limit=5.0)
released_code.descriptor.similarity.update(placed=True, rectified=True, over_all=True)
released_code.descriptor.confidence = L(SoftmaxConfidence)()
released_code.last = 2
released_code.strength.update(first=0.0, last=0.3, after=1, over=4, once_an_epoch=True)
released_code.weight.once_an_epoch = True
