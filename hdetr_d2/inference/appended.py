"""Results that are appended as they are produced, so that prediction can continue after a kill."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

from hdetr_d2.errors import UserError
from hdetr_d2.utils.strict_json import to_json

Row = Mapping[str, Any]
"""`id` (number of the image among all, from 1), `file_name`, `width`, `height` and `detections`;
for an image that cannot be read, `error` in place of the last three.
"""


class Appended(Protocol):
    """The results of one process.

    done: number of images stored permanently. last: the row of the last of them.
    """

    done: int
    last: Row | None

    def write(self, row: Row) -> None: ...
    def close(self) -> None: ...


class JsonLines:
    """A file with one line per image. An incomplete last line left by a kill is removed."""

    def __init__(self, stem: Path) -> None:
        """
        Args:
            stem: path of the file without its ending.

        Raises:
            UserError: the file cannot be written, or contains other lines than results.
        """
        path = stem.with_name(f"{stem.name}.jsonl")
        try:
            path.touch()
            self.done, end = 0, 0
            self.last: Row | None = None
            with path.open("rb") as file:
                line = b""
                for line in _whole_lines(file):
                    self.done += 1
                    end += len(line)
                if self.done:
                    self.last = json.loads(line)
            os.truncate(path, end)
            self.file = path.open("ab")
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from error
        except ValueError as error:
            raise UserError(f"{path} holds other lines than results: {error}") from error

    def write(self, row: Row) -> None:
        self.file.write((to_json(row, ensure_ascii=False) + "\n").encode())
        self.file.flush()  # the system keeps flushed data even if the process is killed

    def close(self) -> None:
        self.file.close()


def _whole_lines(file: IO[bytes]) -> Iterator[bytes]:
    return (line for line in file if line.endswith(b"\n"))


class Parquet:
    """Parquet files of `rows` images each, written atomically."""

    rows = 10_000

    def __init__(self, stem: Path) -> None:
        """See `JsonLines`.

        Raises:
            UserError: pyarrow is not installed, or existing files cannot be read.
        """
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise UserError("parquet needs pyarrow: pip install 'hdetr_d2[parquet]'") from None
        self.arrow, self.parquet = pyarrow, pyarrow.parquet
        self.schema = _schema(pyarrow)
        self.stem = stem
        self.waiting: list[Row] = []
        self.done, self.part = 0, 0
        self.last: Row | None = None
        while (path := self._part(self.part)).is_file():
            self._count(path)
            self.part += 1

    def write(self, row: Row) -> None:
        self.waiting.append(row)
        if len(self.waiting) == self.rows:
            self._write_part()

    def close(self) -> None:
        if self.waiting:
            self._write_part()

    def _count(self, path: Path) -> None:
        try:
            table = self.parquet.read_table(path, columns=["id", "file_name"])
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}") from error
        self.done += table.num_rows
        self.last = table.slice(table.num_rows - 1).to_pylist()[0]

    def _part(self, number: int) -> Path:
        return self.stem.with_name(f"{self.stem.name}-{number:05d}.parquet")

    def _write_part(self) -> None:
        path = self._part(self.part)
        draft = path.with_name(f".{path.name}")  # readers of the folder ignore it
        table = self.arrow.Table.from_pylist(self.waiting, schema=self.schema)
        self.parquet.write_table(table, draft)
        draft.replace(path)
        self.part += 1
        self.waiting.clear()


def _schema(arrow: Any) -> Any:
    detection = {
        "category_id": arrow.int32(),
        "category_name": arrow.string(),
        "score": arrow.float64(),
        "bbox": arrow.list_(arrow.float64()),
        "segmentation": arrow.struct(
            {"size": arrow.list_(arrow.int32()), "counts": arrow.string()}
        ),
    }
    return arrow.schema(
        {
            "id": arrow.int64(),
            "file_name": arrow.string(),
            "width": arrow.int32(),
            "height": arrow.int32(),
            "detections": arrow.list_(arrow.struct(detection)),
            "error": arrow.string(),
        }
    )
