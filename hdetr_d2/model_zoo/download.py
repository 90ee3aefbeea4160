"""Downloads, verifies and converts a published checkpoint, once per machine."""

from hdetr_d2 import __version__

import hashlib
import logging
from pathlib import Path

from detectron2.utils.file_io import PathManager
from iopath.common.file_io import file_lock, get_cache_dir

from hdetr_d2.engine.convert import convert_checkpoint
from hdetr_d2.errors import UserError
from hdetr_d2.model_zoo.published import Published

logger = logging.getLogger(__name__)


def converted(published: Published) -> Path:
    """The converted checkpoint in iopath's cache (`$FVCORE_CACHE`, or ~/.torch/iopath_cache).

    Raises:
        UserError: it cannot be downloaded, is not the published one, or cannot be converted.
    """
    folder = Path(get_cache_dir()) / "hdetr_d2" / _folder_name(published)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # All processes of a machine ask at the same time, and one does the work.
    with file_lock(str(folder)):
        if not (folder / "model.pth").is_file():
            convert_checkpoint(
                _verified(published),
                source=published.source,
                output=folder,
                arguments=published.arguments,
                classes=published.classes,
            )
            logger.info("%s is converted in %s", published.url, folder)
    return folder / "model.pth"


def _folder_name(published: Published) -> str:
    """Depends on everything that affects a conversion."""
    settings = (published.source, published.classes, published.arguments)
    key = repr((published.url, *settings, __version__))
    return f"{Path(published.url).stem}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"


def _verified(published: Published) -> Path:
    """The downloaded file, and any files that belong to it."""
    place = published.url.rpartition("/")[0]
    for name in published.beside:
        _local(f"{place}/{name}")
    path = _local(published.url)
    mend = "delete it and try again"
    size = path.stat().st_size
    if published.size not in (None, size):
        raise UserError(
            f"{path} is not {published.url} as it was published ({size} bytes, not "
            f"{published.size}): {mend}"
        )
    if published.sha256 is None:
        logger.warning("%s: there is no published checksum to verify it with", published.url)
        return path
    digest = _sha256(path)
    if not digest.startswith(published.sha256):
        raise UserError(
            f"{path} is not {published.url} as it was published (sha256 {digest}, not "
            f"{published.sha256}): {mend}"
        )
    return path


def _local(url: str) -> Path:
    try:
        return Path(PathManager.get_local_path(url))
    except OSError as error:
        raise UserError(f"{url} cannot be downloaded: {error}") from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
