"""Annotation formats, one reader each. Readers convert everything to COCO's lists, so that the rest
of the project knows no other format.
"""

from hdetr_d2.data.formats.content import Found
from hdetr_d2.data.formats.finding import Ways, folder_files, read_folder, with_validation

__all__ = ["Found", "Ways", "folder_files", "read_folder", "with_validation"]
