"""Keys that are spelt differently from COCO's, such as imageId or is_crowd."""

from collections.abc import Iterable, Iterator

from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.problem import Problem

KEYS = {
    "images": ("file_name", "width", "height", "id"),
    "annotations": ("image_id", "category_id", "bbox", "area", "iscrowd", "segmentation", "id"),
    "categories": ("name", "id"),
}


def key_problems(coco: CocoJson) -> Iterator[Problem]:
    """One problem for each key that a whole list spells differently."""
    for section, keys in KEYS.items():
        entries = getattr(coco, section)
        for wrong, key in _misspelt(entries, keys).items():
            having = [entry for entry in entries if wrong in entry and key not in entry]
            text = (
                f"{coco.name}: {len(having)} of {len(entries)} {section} have {wrong!r} where "
                f"COCO has {key!r}"
            )
            yield Problem("key in another manner", text)


def _misspelt(entries: Iterable[dict], keys: Iterable[str]) -> dict[str, str]:
    """Maps keys of the entries that lack COCO's own to what they should be."""
    plain = {_plain(key): key for key in keys}
    found: dict[str, str] = {}
    for entry in entries:
        for given in entry:
            key = plain.get(_plain(given))
            if key is not None and key not in entry:
                found[given] = key
    return found


def _plain(key: str) -> str:
    return key.replace("_", "").replace("-", "").replace(" ", "").lower()
