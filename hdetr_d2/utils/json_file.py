"""Reads a json file; invalid ones are rejected in one sentence."""

import json
import os
from typing import Any

from hdetr_d2.errors import UserError
from hdetr_d2.utils.git_lfs import why_unreadable


def read_json(path: str | os.PathLike) -> Any:
    """The content of a json file.

    Raises:
        UserError: it is missing, or is not JSON (line and column are given).
    """
    path = os.fspath(path)
    try:
        with open(path, encoding="utf-8-sig") as file:
            return json.load(file)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        where = f"{error.msg} (line {error.lineno}, column {error.colno})"
        raise UserError(f"{path} is not valid JSON: {why_unreadable(path, where)}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not valid JSON: it is not text in UTF-8") from None
