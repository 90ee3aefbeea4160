"""A report as one HTML file that needs no network."""

from hdetr_d2.report.content import Subject, content_of
from hdetr_d2.report.page import page_of
from hdetr_d2.report.pictures import chosen, jpegs

__all__ = ["Subject", "chosen", "content_of", "jpegs", "page_of"]
