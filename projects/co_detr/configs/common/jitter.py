"""Large-scale jitter with copy-paste on COCO, for the models of `co_dino_jitter.py`, which say how
large an image is.

Pasting cuts objects out along their masks, and jitter draws their boxes around what a window holds
of these, as in the authors' code (`recompute_bbox=True` of its `RandomCrop`). Where there are none:
dataloader.train.mapper.copy_paste=null
"""

from detectron2.config import LazyCall as L

from hdetr_d2.data import CopyPaste

from .....configs.common.data.coco_lsj import data, dataloader

_side = "${model.preprocessing.side}"
data.keep_empty = True
dataloader.train.mapper.augmentations[1].size = _side
# As many objects on average as where their number is drawn, from none to all of them, as in the
# authors' code; which also counts pixels, not shares, to tell whether an object is still seen.
dataloader.train.mapper.copy_paste = L(CopyPaste)(p=1.0, p_object=0.5, min_visible=0.1)
dataloader.test.mapper.augmentations[0].update(sides=[_side], max_size=_side)
