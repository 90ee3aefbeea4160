"""What the options `output` and `format` of a prediction mean together."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hdetr_d2.errors import UserError
from hdetr_d2.runtime.writers import WRITERS, format_of, place_in

Formats = str | Sequence[str] | None
VIDEOS = (".mp4", ".mov", ".mkv", ".webm")
"""Endings of the files that frames are written to."""
# Letters alone, as most files have them: `v1.2` and `run.1` are folders.
_ENDING_OF_FILES = re.compile(r"\.[A-Za-z]{2,5}")


class Outputs(NamedTuple):
    """files: format -> what is written in it. folder: with all that is drawn; None where nothing
    is.
    """

    files: dict[str, Path]
    folder: Path | None


def is_like_a_file(path: Path) -> bool:
    """Whether a name has the ending of a file, and there is no folder of that name."""
    return bool(_ENDING_OF_FILES.fullmatch(path.suffix)) and not path.is_dir()


def outputs_of(output: str | Path | None, format: Formats, *, default: str) -> Outputs:
    """Of a folder its files in these formats; of a file, by its ending, that file alone.

    Args:
        default: the format of a folder's file where none is named.

    Raises:
        UserError: there is no such format, the file is of another one, or there is no output; or a
            name with the ending of a file that is of no format, and no folder that there is.
    """
    formats = check_formats(format)
    if output is None and formats:
        raise UserError(f"the format {formats[0]} is of what is written: name an output, too")
    if output is None:
        return Outputs({}, None)
    path = Path(output)
    own = None if path.is_dir() else format_of(path)
    if own is None:
        if is_like_a_file(path):
            files = ", ".join(kind.ending for kind in WRITERS.values() if kind.ending)
            raise UserError(
                f"{path} is of no format that is written: a file ends in {files} (of a video also "
                f"{', '.join(VIDEOS)}), and a folder of that name must be there before"
            )
        return Outputs({name: place_in(path, name) for name in formats or [default]}, path)
    if formats and formats != [own]:
        asked = " and ".join(formats)
        raise UserError(f"{path} is a file of the format {own}: for {asked} name a folder")
    return Outputs({own: path}, None)


def video_outputs(
    output: str | Path | None, format: Formats, source: str
) -> tuple[dict[str, Path], Path | None]:
    """Of a video file it and, beside it, its detections; of a folder the same below it; of a file
    of detections that alone.

    Args:
        source: the name of what is read.

    Returns:
        Format -> what is written in it; and the video to write, if any.

    Raises:
        UserError: see `outputs_of`; or what is read would be written.
    """
    if output is None or Path(output).suffix.lower() not in VIDEOS:
        files, folder = outputs_of(output, format, default="csv")
        drawn = None if folder is None else folder / f"{Path(source).stem or 'video'}.mp4"
    else:
        drawn = Path(output)
        formats = check_formats(format) or ["csv"]
        files = {name: drawn.with_suffix(WRITERS[name].ending) for name in formats}
    if drawn is not None and drawn.resolve() == Path(source).resolve():
        raise UserError(f"{drawn} is the video that is read: name another output")
    return files, drawn


def check_formats(format: Formats) -> list[str]:
    """The names, each once.

    Raises:
        UserError: one is no format.
    """
    names = [format] if isinstance(format, str) else list(dict.fromkeys(format or ()))
    if odd := [name for name in names if name not in WRITERS]:
        raise UserError(f"there is no format {odd[0]!r}: there are {', '.join(WRITERS)}")
    return names
