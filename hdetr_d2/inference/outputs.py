"""What the prediction options `output` and `format` mean together."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hdetr_d2.errors import UserError
from hdetr_d2.runtime.writers import WRITERS, format_of, place_in

Formats = str | Sequence[str] | None
VIDEOS = (".mp4", ".mov", ".mkv", ".webm")
"""Endings of video files."""
# Letters only, as in most endings: `v1.2` and `run.1` are folders.
_ENDING_OF_FILES = re.compile(r"\.[A-Za-z]{2,5}")


class Outputs(NamedTuple):
    """files: format -> file to write. folder: folder for everything drawn; None if nothing is
    drawn.
    """

    files: dict[str, Path]
    folder: Path | None


def is_like_a_file(path: Path) -> bool:
    """Whether a path has a file ending, and is not an existing folder."""
    return bool(_ENDING_OF_FILES.fullmatch(path.suffix)) and not path.is_dir()


def outputs_of(output: str | Path | None, format: Formats, *, default: str) -> Outputs:
    """If `output` is a folder, its files in these formats; if it is a file, only that file, whose
    format is given by its ending.

    Args:
        default: the format written to a folder if none is given.

    Raises:
        UserError: an unknown format, a file of another format, or no output; or a name that looks
            like a file of an unknown format and is not an existing folder.
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
    """If `output` is a video file, the video and its detections beside it; if a folder, both in it;
    if a file of detections, only that file.

    Args:
        source: name of the input.

    Returns:
        Format -> file to write; and the video to write, or None.

    Raises:
        UserError: see `outputs_of`; or the output would overwrite the input.
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
    """Returns the formats without duplicates.

    Raises:
        UserError: an unknown format.
    """
    names = [format] if isinstance(format, str) else list(dict.fromkeys(format or ()))
    if odd := [name for name in names if name not in WRITERS]:
        raise UserError(f"there is no format {odd[0]!r}: there are {', '.join(WRITERS)}")
    return names
