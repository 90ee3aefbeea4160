"""Build the kernels of a checkout of Deformable-DETR, beside which ours are timed:

python tools/gpu/gpu_original.py CHECKOUT FOLDER
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch

# The original uses an API that PyTorch no longer accepts.
BEFORE, SINCE = "FLOATING_TYPES(value.type()", "FLOATING_TYPES(value.scalar_type()"


def environment() -> dict[str, str]:
    """With the headers included in PyTorch: a toolkit may contain little more than its compiler."""
    folders = Path(torch.__file__).parents[1].glob("nvidia/*/include")
    paths = [os.environ.get("CPATH", ""), *map(str, folders)]
    return {**os.environ, "CPATH": os.pathsep.join(filter(None, paths))}


def build(checkout: Path, folder: Path) -> None:
    """Puts `MultiScaleDeformableAttention` into the folder.

    Raises:
        SystemExit: the checkout has no such kernels, or they cannot be built.
    """
    if not (checkout / "models" / "ops" / "setup.py").is_file():
        sys.exit(f"{checkout} is no checkout of Deformable-DETR: it has no models/ops/setup.py.")
    source = folder / "source"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(checkout / "models" / "ops", source)
    for path in source.rglob("*.cu"):
        path.write_text(path.read_text(encoding="utf-8").replace(BEFORE, SINCE), encoding="utf-8")
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--build-lib", ".."]
    if subprocess.run(command, cwd=source, env=environment()).returncode:
        sys.exit("The original kernels cannot be built.")
    print(f"Built in {folder}.")


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
