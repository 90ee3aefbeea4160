"""Draws names in any script on one line, with fonts that have their letters."""

import os
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import NamedTuple

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import ImageFont


class Lettering(NamedTuple):
    """The text to draw, and its font."""

    letters: str
    font: ImageFont.FreeTypeFont

    @property
    def width(self) -> float:
        """In pixels."""
        return self.font.getlength(self.letters)

    @property
    def height(self) -> int:
        """Of a line, in pixels."""
        return sum(self.font.getmetrics())


@lru_cache(4096)
def letter(name: str, size: int) -> Lettering:
    """Converts a name to drawable text: white space and line breaks become single spaces, and
    unprintable letters, or letters that no font of this machine has, become escapes (U+732B is
    `\\u732b`).

    Args:
        size: of the font, in pixels.
    """
    line = " ".join(name.split())
    wanted = {ord(letter) for letter in line if letter.isprintable()}
    for path in _fonts(wanted):
        if wanted <= _code_points(path) and (font := _load(path, size)) is not None:
            return Lettering(_escaped(line, wanted), font)
    font = _load(_own_font(), size)
    assert font is not None, "matplotlib brings this font"
    return Lettering(_escaped(line, _code_points(_own_font())), font)


def _escaped(line: str, known: frozenset[int] | set[int]) -> str:
    return "".join(
        letter if ord(letter) in known else letter.encode("unicode_escape").decode()
        for letter in line
    )


def _fonts(wanted: set[int]) -> Iterator[str]:
    """Font files, matplotlib's own first. Others are searched for only if it lacks a letter,
    because that takes a second.
    """
    yield _own_font()
    if not wanted <= _code_points(_own_font()):
        # "Last Resort" has a placeholder for every letter.
        found = [
            f for f in font_manager.fontManager.ttflist if not f.name.startswith("Last Resort")
        ]
        upright = sorted(found, key=lambda f: (f.style != "normal", f.weight != 400, f.fname))
        yield from dict.fromkeys(font.fname for font in upright)


def _own_font() -> str:
    """DejaVu Sans: Latin, Greek, Cyrillic, Arabic, Hebrew and more."""
    return os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")


@cache
def _code_points(path: str) -> frozenset[int]:
    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):  # not a readable font
        return frozenset()


@cache
def _load(path: str, size: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(path, size)
    except OSError:  # bitmaps with fixed sizes, such as emoji
        return None
