"""Training schemes, one node each with the values of its paper; a recipe lists the ones it wants in
`model.schemes`.
"""

from detectron2.config import LazyCall as L

from hdetr_d2.schemes import OneToOne

one_to_one = L(OneToOne)()
