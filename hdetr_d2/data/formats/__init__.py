"""Data as people have them, one reader a format; all become COCO's lists, and nothing else of the
project knows of formats.
"""

from hdetr_d2.data.formats.content import Found
from hdetr_d2.data.formats.finding import Ways, folder_files, read_folder, with_validation

__all__ = ["Found", "Ways", "folder_files", "read_folder", "with_validation"]
