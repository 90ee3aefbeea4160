"""Class names in a config, where some strings have a special meaning: `${x}` refers to another
option, and `???` marks a missing value. Such names are stored with escapes.
"""

import re
from collections.abc import Iterable

from omegaconf import DictConfig

_CODES = {"\\": "\\u005c", "$": "\\u0024", "?": "\\u003f"}
# The start of an interpolation, a complete missing-value marker, and anything that would be read as
# one of our escapes.
_SPECIAL = re.compile(r"\$(?=\{)|^\?(?=\?\?$)|\\(?=u00(?:5c|24|3f))")
_LETTERS = {code: letter for letter, code in _CODES.items()}
_ESCAPE = re.compile("|".join(map(re.escape, _LETTERS)))


def put_class_names(cfg: DictConfig, names: Iterable[str]) -> None:
    """Sets `data.class_names` and `data.num_classes`."""
    written = [_SPECIAL.sub(lambda match: _CODES[match[0]], name) for name in names]
    cfg.data.class_names, cfg.data.num_classes = written, len(written)


def get_class_names(cfg: DictConfig) -> list[str]:
    """Returns the class names written by `put_class_names`."""
    return [_ESCAPE.sub(lambda match: _LETTERS[match[0]], name) for name in cfg.data.class_names]
