"""Models on the Hugging Face hub."""

from hdetr_d2 import __version__

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hdetr_d2.checkpoint.folder import FILES, read_folder, require_files
from hdetr_d2.errors import UserError
from hdetr_d2.model_zoo.card import LIBRARY
from hdetr_d2.model_zoo.saving import SHARED
from hdetr_d2.runtime import Predictor

LOGIN = "`hf auth login`, or the variable HF_TOKEN, says who you are"


def from_pretrained(
    model: str | Path,
    *,
    revision: str | None = None,
    device: str = "auto",
    precision: str = "float32",
    trust: str | Sequence[str] = (),
) -> Predictor:
    """The predictor of a shared model. Its files are treated as data: no code in them is run, and
    its config can only name parts of models, and classes of the packages in `trust`.

    Args:
        model: a folder written by `Predictor.save_pretrained`, or the name of a model on the hub,
            "user/model". Its files are downloaded once, to the hub's cache.
        revision: branch, tag or commit on the hub; None for the latest.
        device, precision, trust: see `Predictor`.

    Raises:
        UserError: the model does not exist, is not accessible, is damaged, or asks for something
            that is not part of a model; or the device is missing.
    """
    if Path(model).is_file():
        raise UserError(f"{model} is a file: hdetr_d2.Predictor takes it")
    if not Path(model).is_dir():
        return Predictor(
            download(str(model), revision), device=device, precision=precision, trust=trust
        )
    if revision is not None:
        raise UserError(f"revision={revision}: {model} is a folder, and none of the hub")
    require_files(Path(model))
    return Predictor(model, device=device, precision=precision, trust=trust)


def download(model: str, revision: str | None = None) -> Path:
    """The folder of a model in the hub's cache, with verified weights.

    Raises:
        UserError: see `from_pretrained`.
    """
    if model.count("/") != 1:
        raise UserError(
            f"{model} is neither a folder nor the name of a model on the hub (user/model)"
        )
    with _sentences(model, "downloaded"):
        folder = snapshot_download(
            model,
            revision=revision,
            allow_patterns=[*FILES],
            library_name=LIBRARY,
            library_version=__version__,
        )
    require_files(Path(folder))
    for name in FILES:
        require_checksum(Path(folder) / name, model)
    return Path(folder)


def push(folder: str | Path, model: str, *, private: bool = False) -> str:
    """Uploads a folder written by `Predictor.save_pretrained` to the hub, in one commit. Such files
    of an earlier upload that this one lacks are removed there; other files are kept.

    Args:
        model: its name there, "user/model"; created if it does not exist.
        private: whether a newly created model is visible to its owner only.

    Returns:
        Its URL.

    Raises:
        UserError: the folder is damaged, or the hub refuses it or cannot be reached.
    """
    read_folder(folder)
    if model.count("/") != 1:
        raise UserError(f"{model} is not the name of a model on the hub (user/model)")
    if huggingface_hub.get_token() is None:
        raise UserError(f"{model} cannot be uploaded: {LOGIN}")
    files = [Path(folder) / name for name in SHARED if (Path(folder) / name).is_file()]
    api = HfApi(library_name=LIBRARY, library_version=__version__)
    with _sentences(model, "uploaded"):
        address = api.create_repo(model, private=private or None, exist_ok=True)
        gone = {*SHARED} & {*api.list_repo_files(model)} - {file.name for file in files}
        api.create_commit(
            model,
            [
                *(CommitOperationAdd(path_in_repo=f.name, path_or_fileobj=f) for f in files),
                *(CommitOperationDelete(path_in_repo=name) for name in sorted(gone)),
            ],
            commit_message=f"A model of {LIBRARY} {__version__}",
        )
    return str(address)


def require_checksum(path: Path, model: str) -> None:
    """Compares a file of the hub's cache with its name there, which is its checksum: SHA-256, or
    git's for a small file. On systems without links the cache has no such names.

    Raises:
        UserError: they differ; the file is removed, so that it is downloaded again.
    """
    expected = Path(os.readlink(path)).name if path.is_symlink() else ""
    if not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", expected):
        return
    size = path.stat().st_size
    digest = hashlib.sha256() if len(expected) == 64 else hashlib.sha1(f"blob {size}\0".encode())
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != expected:
        path.resolve().unlink()
        path.unlink()
        raise UserError(
            f"{path.name} of {model} is damaged (its checksum is {digest.hexdigest()}, not "
            f"{expected}); it was removed from the cache: try again"
        )


@contextmanager
def _sentences(model: str, done: str) -> Iterator[None]:
    """Converts errors of the hub or its client to a UserError."""
    try:
        yield
    except HFValidationError as error:
        raise UserError(
            f"{model} is not the name of a model on the hub: {_first(error)}"
        ) from error
    except GatedRepoError as error:
        raise UserError(
            f"{model} is only shown to users whom its owner has accepted: {LOGIN}"
        ) from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"{_hub()} has no model {model} that you may see, and it is no folder: {LOGIN}"
        ) from error
    except RevisionNotFoundError as error:
        raise UserError(f"{model} has no such revision on {_hub()}") from error
    except LocalEntryNotFoundError as error:
        reason = f"{_hub()} does not answer ({_first(error.__cause__ or error)})"
        if huggingface_hub.constants.HF_HUB_OFFLINE:
            reason = "HF_HUB_OFFLINE forbids to ask the hub"
        raise UserError(f"{model} is not in the cache as a whole, and {reason}") from error
    except Exception as error:  # the network library differs with each version
        raise UserError(f"{model} cannot be {done}: {_first(error)}") from error


def _hub() -> str:
    return huggingface_hub.constants.ENDPOINT


def _first(error: BaseException) -> str:
    """The server's message if there is one, otherwise the first line."""
    said = getattr(error, "server_message", None) or str(error) or type(error).__name__
    return said.strip().splitlines()[0].rstrip(".")
