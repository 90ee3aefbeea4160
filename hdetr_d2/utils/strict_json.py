"""JSON without NaN and Infinity, which the standard does not know."""

import json
import math
from collections.abc import Mapping
from typing import Any


def to_json(content: Any, **options: Any) -> str:
    """`json.dumps` with null in place of numbers that are not finite."""
    return json.dumps(_finite(content), allow_nan=False, **options)


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    return [_finite(v) for v in content] if isinstance(content, list | tuple) else content
