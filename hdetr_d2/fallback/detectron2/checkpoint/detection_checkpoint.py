"""fvcore's checkpointer, configured for detectors."""

from typing import Any

from detectron2._subset import absent, explain
from detectron2.utils import comm
from detectron2.utils.file_io import PathManager
from fvcore.common.checkpoint import Checkpointer
from torch import nn

__all__ = ["DetectionCheckpointer"]

__getattr__ = absent(__name__)


class DetectionCheckpointer(Checkpointer):
    """Only the main process writes; a bare state dict loads like a checkpoint."""

    def __init__(
        self,
        model: nn.Module,
        save_dir: str = "",
        *,
        save_to_disk: bool | None = None,
        **checkpointables: Any,
    ) -> None:
        """
        Args:
            save_to_disk: whether `save` writes; by default in the main process only.
            checkpointables: additional objects to save and load, with `state_dict` and
                `load_state_dict`.
        """
        writes = comm.is_main_process() if save_to_disk is None else save_to_disk
        super().__init__(model, save_dir, save_to_disk=writes, **checkpointables)
        self.path_manager = PathManager

    def load(self, path: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Loads the checkpoint at `path`; see fvcore. Entries without a checkpointable are
        returned.
        """
        if path and "://" in path:
            path = self.path_manager.get_local_path(path)
        return super().load(path, *args, **kwargs)

    def _load_file(self, filename: str) -> dict[str, Any]:
        if filename.endswith((".pkl", ".pyth")):
            raise ValueError(explain(f"loading the checkpoint format of {filename}"))
        loaded = super()._load_file(filename)
        return loaded if "model" in loaded else {"model": loaded}

    def _load_model(self, checkpoint: dict[str, Any]) -> Any:
        incompatible = super()._load_model(checkpoint)
        # The normalisation comes from the config, so a checkpoint without it is complete.
        own_buffers = dict(self.model.named_buffers(recurse=False))
        for name in ("pixel_mean", "pixel_std"):
            if name in own_buffers and name in incompatible.missing_keys:
                incompatible.missing_keys.remove(name)
        return incompatible
