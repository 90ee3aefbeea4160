"""Export of trained models to run without PyTorch: the program, the formats, and a check that file
and model agree.
"""

from hdetr_d2.exporting.export import export

__all__ = ["export"]
