"""A small stand-in for Detectron2: the names, module paths and behaviour that hdetr_d2 uses.

`hdetr_d2` puts this package on `sys.path` when Detectron2 itself is not installed.
"""

from detectron2 import _subset

_subset.install()
__getattr__ = _subset.absent(__name__)
__version__ = "0.6"
