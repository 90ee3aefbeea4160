"""Safe XML parsing: entity declarations are refused."""

import re
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from hdetr_d2.errors import UserError
from hdetr_d2.utils.git_lfs import why_unreadable

# The root is within this many bytes.
HEAD = 4096


def has_root(path: Path, tag: str) -> bool:
    """Whether the file seems to be XML with this element at its root."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    first = re.search(rb"<([A-Za-z_][\w.:-]*)", head)
    return first is not None and first[1] == tag.encode()


def read_xml(path: Path) -> Element:
    """The root element.

    Raises:
        UserError: not XML, or XML that declares entities, which may expand without bounds.
    """
    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refuse(*_: object) -> None:
        raise UserError(f"{path} declares entities, which annotations do not need: it is not read")

    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(path.read_bytes(), True)
        return builder.close()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise UserError(f"{path} is not valid XML: {why_unreadable(path, error)}") from None


def text_of(element: Element | None, tag: str) -> str:
    """The text of a child, stripped; "" if there is none."""
    return "" if element is None else (element.findtext(tag) or "").strip()


def number_of(text: str | None, what: str) -> float:
    """Parses a finite number.

    Args:
        what: file, entry and field, for messages.

    Raises:
        UserError: it is not a finite number.
    """
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise UserError(f"{what} is {text!r}, and must be a number")
    return value
