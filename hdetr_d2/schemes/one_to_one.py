"""One-to-one matching (DETR, https://arxiv.org/abs/2005.12872): in every layer, each target is
matched to one query.
"""

from hdetr_d2.schemes.base import Scheme


class OneToOne(Scheme):
    """States explicitly what a model without schemes does, and refuses to be combined with a scheme
    that contradicts it.
    """

    sets_capacity = True
