"""Combines content and pictures into one HTML file."""

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from importlib.resources import files
from typing import Any

from hdetr_d2.utils.strict_json import to_json

HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'; script-src 'unsafe-inline'">
"""
SCRIPT = ("basics.js", "charts.js", "tables.js", "pictures.js", "viewer.js", "page.js")
"""The parts of the page's script, in this order."""


def page_of(content: Mapping[str, Any], pictures: Iterable[str]) -> Iterator[str]:
    """Yields the parts of a page in order, so that it is never completely in memory.

    No text from the data is interpreted as markup: names are in the json, and displayed as text.
    Nothing is requested from the network; the browser is told to refuse any request.

    Args:
        content: as returned by `content_of`.
        pictures: pictures of its images, JPEG in base64.
    """
    yield HEAD
    yield f"<title>{escape(content['title'])}</title>\n"
    yield f"<style>\n{_asset('page.css')}</style>\n</head>\n<body>\n{_asset('page.html')}"
    for number, picture in enumerate(pictures):
        yield f'<script type="text/plain" id="picture-{number}">{picture}</script>\n'
    text = to_json(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    yield f'<script type="application/json" id="content">{text}</script>\n'
    yield '<script type="module">\n'
    yield from map(_asset, SCRIPT)
    yield "</script>\n</body>\n</html>\n"


def _asset(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
