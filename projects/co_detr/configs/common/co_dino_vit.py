"""Co-DINO on EVA-02's ViT-L (https://arxiv.org/abs/2303.11331) with windows, and a simple feature
pyramid.

Its authors start from weights of their own, which have seen Objects365 as well.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.modeling import SimpleFeaturePyramid, WindowedViT
from hdetr_d2.projects.co_detr import SoftSuppression

from .co_dino import model

model.backbone = L(WindowedViT)(
    name="eva02_large_patch14_448.mim_m38m_ft_in22k_in1k",
    window=24,
    global_every=4,
    patch_size=16,
    image_size=512,  # of 32 x 32 patches, as in the pretraining
    pretrained=True,
    drop_path_rate=0.4,
    checkpointing=True,
)
model.neck = L(SimpleFeaturePyramid)(
    in_shapes=[1024], in_features=["res4"], out_channels=256, num_levels=5, finer=2
)
model.encoder.checkpointing = True
model.postprocessing.num_select = 1000
# Of detection by a head, from more proposals that may lie closer together.
_heads = model.schemes[-1].collaborators
_heads.faster_rcnn.head.rpn.test.update(per_level=8000, most=2000, iou=0.9)
_heads.faster_rcnn.head.roi_head.suppression = L(SoftSuppression)(iou=0.5, most=1000)
_heads.atss.head.suppression = L(SoftSuppression)(iou=0.6, most=100)
model.schemes[0].box_noise.scale = 0.4
model.schemes[0].update(groups=300, max_queries=600)
