"""The heads of `collaborators.py` beside a small decoder of three layers, one alone and both:
`one_head` and `two_heads`, with a smaller second stage, for its time.
"""

from copy import deepcopy

from .collaborators import co_heads as two_heads

two_heads.update(strides=[4, 8, 16, 32], max_queries=100)
two_heads.collaborators.atss.head.weight = 6.0
two_heads.collaborators.faster_rcnn.head.weight = 6.0
two_heads.collaborators.faster_rcnn.head.roi_head.update(hidden_dim=128, num_samples=64)
two_heads.collaborators.faster_rcnn.head.rpn.train.update(per_level=200, most=100)
two_heads.collaborators.faster_rcnn.head.rpn.test.most = 100
one_head = deepcopy(two_heads)
del one_head.collaborators.faster_rcnn
