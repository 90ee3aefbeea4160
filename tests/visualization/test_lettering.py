"""Names in any script can be drawn, and two names are never drawn alike."""

from itertools import combinations

import pytest
import torch
from PIL import Image

from hdetr_d2.visualization import Shapes, draw_shapes
from hdetr_d2.visualization.lettering import letter

NAMES = ["cat", "Жук", "Дом", "猫", "狗", "कुत्ता", "جمل", "🐈", "🐕", "???", "${x}", "$a$", "a\x07b"]


def draw(name: str) -> bytes:
    box = Shapes(torch.tensor([[20.0, 25, 150, 55]]), torch.tensor([0]), torch.tensor([0.9]))
    return draw_shapes(Image.new("RGB", (300, 60)), box, [name]).tobytes()


@pytest.mark.parametrize("name", ["traffic\nlight", "traffic\r\nlight", " traffic\u2028 light\n"])
def test_line_breaks_are_blanks(name: str) -> None:
    assert letter(name, 12).letters == "traffic light"
    assert draw(name) == draw("traffic light")


def test_other_names_are_other_pictures() -> None:
    pictures = {name: draw(name) for name in NAMES}
    for one, other in combinations(NAMES, 2):
        assert pictures[one] != pictures[other], (one, other)


@pytest.mark.parametrize("name", ["", "cat", "Жук", "γάτα", "Köder", "???", "${x}"])
def test_letters_of_the_font_at_hand_stay(name: str) -> None:
    assert letter(name, 12).letters == name


def test_letters_that_no_font_has_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matplotlib.font_manager.fontManager.ttflist", [])
    letter.cache_clear()
    drawn = letter("猫 Жук 🐈 \x07", 12)
    assert drawn.letters == r"\u732b Жук \U0001f408 \x07"
    assert drawn.width > letter("Жук", 12).width > 0
    letter.cache_clear()
