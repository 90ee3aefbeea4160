import math

from hdetr_d2.utils.strict_json import to_json


def test_what_is_not_finite_is_null_at_any_depth() -> None:
    content = {
        "a": math.nan,
        "b": [1.5, -math.inf, (math.inf, 2)],
        "c": {"d": math.nan, "e": "NaN"},
    }
    expected = '{"a": null, "b": [1.5, null, [null, 2]], "c": {"d": null, "e": "NaN"}}'
    assert to_json(content) == expected


def test_what_is_finite_is_written_as_it_is() -> None:
    content = {"b": True, "a": None, "c": [0, 1e-300, "ü"]}
    assert to_json(content, sort_keys=True) == '{"a": null, "b": true, "c": [0, 1e-300, "\\u00fc"]}'
