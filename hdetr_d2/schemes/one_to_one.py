"""One-to-one matching (DETR, https://arxiv.org/abs/2005.12872): every target takes one query of
every layer.
"""

from hdetr_d2.schemes.base import Scheme


class OneToOne(Scheme):
    """Says plainly what a model without any scheme does; cannot stand beside a scheme that says
    otherwise.
    """

    sets_capacity = True
