"""A trained model without PyTorch: the exported program, its formats, and the check that file and
model agree.
"""

from hdetr_d2.exporting.export import export

__all__ = ["export"]
