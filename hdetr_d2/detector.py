"""One object from a folder of pictures to a detector, which prints the equivalent commands."""

import shlex
from argparse import ArgumentError
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.main import argument_parser, start
from hdetr_d2.engine.shipped import shipped_config
from hdetr_d2.errors import UserError
from hdetr_d2.exporting import export
from hdetr_d2.inference import InferenceOptions, Predictor, Results
from hdetr_d2.inference.files import Source, find_images
from hdetr_d2.inference.outputs import Formats, outputs_of
from hdetr_d2.inference.prediction import predict_images
from hdetr_d2.runtime.pictures import Picture, each_picture
from hdetr_d2.runtime.predictor import is_exported
from hdetr_d2.utils.checkpoint_folder import refuse_checkpoints
from hdetr_d2.utils.override_text import quoted

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from hdetr_d2.runtime.options import InferenceKeywords

# Short names of recipes.
SHORT = {"quickstart": "custom/deformable_detr_coco_json_offline.py"}


class Detector:
    """Trains, evaluates, predicts and exports: `Detector("quickstart").train("pets/")`.

    Everything done here can also be done with a config and a command. Calls of `train`, `evaluate`
    and `export`, and of `predict` if it writes files, print that command, including the config.

    Attributes:
        config: a recipe or config file; None for a model without one.
        checkpoint: the trained model; None before training.
        options: default options of predictions, which a call can override.
    """

    def __init__(self, source: str | Path, **options: "Unpack[InferenceKeywords]") -> None:
        """
        Args:
            source: "quickstart" (a small model for a CPU, initialised from ImageNet's weights), the
                name of a recipe (docs/MODEL_ZOO.md), a config file, or a trained model as accepted
                by `Predictor`. The `config.yaml` beside a checkpoint is used by `train` and
                `evaluate` as a command would: inspect it first if the folder comes from a stranger.
            options: of predictions: device, precision, score_threshold, batch_size, tile, overlap
                and trust, see `InferenceOptions`. The device also applies to training and
                evaluation, whose precision is set by the config (`train.amp`), and the trust to
                export.

        Raises:
            UserError: the recipe or file does not exist; see `InferenceOptions`.
        """
        self.options = InferenceOptions(**options)
        self.config: str | None = None
        self.checkpoint: Path | None = None
        path = Path(source)
        if path.is_dir() and not [*path.glob("*.xml")] and is_exported(path):
            refuse_checkpoints(path)
        if path.suffix == ".pth" or path.is_dir() or is_exported(path):
            if not path.exists():
                raise UserError(f"{path} does not exist")
            self.checkpoint = path
            beside = path.parent / "config.yaml"
            self.config = str(beside) if path.is_file() and beside.is_file() else None
        else:
            self.config = SHORT.get(str(source), str(source))
            _ = self.config_file

    @property
    def config_file(self) -> str:
        """The path of the config.

        Raises:
            UserError: there is none.
        """
        if self.checkpoint is not None and is_exported(self.checkpoint):
            raise UserError(f"{self.checkpoint} is exported: only a checkpoint has a config")
        if self.config is None:
            raise UserError(f"there is no config.yaml beside {self.checkpoint}: name a recipe")
        if Path(self.config).is_file():
            return self.config
        return shipped_config(self.config, besides=SHORT)

    @cached_property
    def predictor(self) -> Predictor:
        """The trained model, loaded once, without tiling."""
        return self.options.open_whole(self._trained())

    def train(
        self,
        data: str | Path | None = None,
        *,
        epochs: float | None = None,
        scheme: str | Sequence[str] | None = None,
        output: str | Path | None = None,
        resume: bool = False,
        num_gpus: int = 1,
        options: Sequence[str] = (),
    ) -> Path:
        """Trains, starting from the weights of the checkpoint if there is one.

        Args:
            data: a folder in any format listed in docs/DATA.md; None for the data in the config.
            epochs: if given, milestones are scaled in proportion; None for the config's.
            scheme: names from docs/SCHEMES.md, with the values of their papers; None for the
                config's.
            output: the folder of the run; None for the config's.
            resume: continue the run in that folder or, if none is given, in that of the checkpoint.
            num_gpus: processes on this machine.
            options: further overrides of the config, each "key=value".

        Returns:
            The final checkpoint, which this object uses from now on.

        Raises:
            UserError: anything the user can fix; a run that would overwrite the checkpoint's.
        """
        opts, options = self._device_options(), _overrides(options)
        if output is not None:
            opts.append(_output_dir(output))
        elif resume:
            opts += self._moved_run()
        if self.checkpoint is not None and not resume:
            if self._is_own_folder([*opts, *options]):
                raise UserError(
                    f"the run in {self.checkpoint.parent} would be overwritten: give another "
                    "output=, or resume=True to go on with it"
                )
            opts.append(f"train.init_checkpoint={quoted(str(self.checkpoint))}")
        words: dict[str, Any] = {"data": data, "epochs": epochs}
        words |= {"num_gpus": None if num_gpus == 1 else num_gpus}
        flags = [*(["--resume"] if resume else []), *_each("--scheme", scheme or ())]
        args = self._run([*flags, *_flags(words), *opts, *options])
        start(args)
        self.checkpoint = Path(load_config(args.config_file, args.opts).train.output_dir)
        self.checkpoint /= "model_final.pth"
        self.config = str(self.checkpoint.parent / "config.yaml")
        self.__dict__.pop("predictor", None)
        return self.checkpoint

    def evaluate(
        self, data: str | Path | None = None, *, options: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Evaluates the checkpoint on the validation split.

        Args:
            data: see `train`.
            options: see `train`.

        Returns:
            In Detectron2's form: `{"bbox": {"AP": ..., "AP50": ..., ...}}`, in percent.

        Raises:
            UserError: nothing is trained yet, or anything else the user can fix.
        """
        weights = f"train.init_checkpoint={quoted(str(self._trained()))}"
        words = ["--eval-only", *_flags({"data": data}), weights]
        opts = [*self._moved_run(), *self._device_options(), *_overrides(options)]
        return start(self._run([*words, *opts]))

    def predict(
        self,
        images: Picture | Iterable[Picture],
        *,
        output: str | Path | None = None,
        format: Formats = None,
        **options: "Unpack[InferenceKeywords]",
    ) -> Results:
        """Finds objects; see `Predictor` and, for files and folders with `output`, `predict`.

        Args:
            options: see the class; for this call only.

        Raises:
            UserError: nothing is trained yet, or an image cannot be read; see `InferenceOptions`.
        """
        asked = replace(self.options, **options)
        given: Any = list(each_picture(images))
        of_files = all(isinstance(image, str | Path) for image in given)
        outputs_of(output, format, default="coco")  # raises before a model is loaded
        if output is not None:
            if not of_files:
                raise UserError("output= is for image files and folders")
            words = {"output": output, "format": format} | asked.changed()
            trust = _each("--trust", words.pop("trust", ()))
            _say("predict", [self._trained(), *given, *_flags(words), *trust])
            return predict_images(self._trained(), given, asked, output=output, format=format)
        same = asked.opens_like(self.options)
        whole = self.predictor if same else asked.open_whole(self._trained())
        pictures = given
        if of_files:
            pictures = find_images(given, image_format=whole.detector.image_format)
        predictor = asked.tiled(whole)
        return predictor(
            pictures, score_threshold=asked.score_threshold, batch_size=asked.batch_size
        )

    def export(
        self,
        output: str | Path | None = None,
        *,
        format: str = "onnx",
        size: Sequence[int] | None = None,
        precision: str = "float32",
        images: Source | Sequence[Source] | None = None,
    ) -> Path:
        """Writes the model for other runtimes; `hdetr_d2.export` has more options.

        Returns:
            The path of the file or folder.

        Raises:
            UserError: nothing is trained yet, or it cannot be exported.
        """
        options: dict[str, Any] = {"output": output, "format": format, "size": size}
        options |= {"precision": precision, "images": images}
        trust = self.options.trust
        _say("export", [self._trained(), *_flags(options), *_each("--trust", trust)])
        return export(self._trained(), **options, trust=trust)

    def _trained(self) -> Path:
        if self.checkpoint is None:
            raise UserError(f"{self.config} is a recipe: train it first, or give a checkpoint")
        return self.checkpoint

    def _device_options(self) -> list[str]:
        device = self.options.device
        return [] if device == "auto" else [f"train.device={quoted(device)}"]

    def _moved_run(self) -> list[str]:
        """The folder of the checkpoint, if the config there names another one."""
        if self.checkpoint is None or self._is_own_folder():
            return []
        return [_output_dir(self.checkpoint.parent)]

    def _is_own_folder(self, options: Sequence[str] = ()) -> bool:
        """Whether a run with these options would use the folder of the checkpoint."""
        folder = Path(load_config(self.config_file, options).train.output_dir)
        return self.checkpoint is not None and folder.resolve() == self.checkpoint.parent.resolve()

    def _run(self, words: Sequence[str]) -> Any:
        """The arguments of a run, after printing them."""
        arguments = ["--config-file", self.config_file, *words]
        parser = argument_parser()
        parser.exit_on_error = False
        try:
            args = parser.parse_args(arguments)
        except ArgumentError as error:
            raise UserError(str(error)) from None
        _say("train", arguments)
        return args


def _output_dir(folder: str | Path) -> str:
    return f"train.output_dir={quoted(str(folder))}"


def _flags(options: Mapping[str, Any]) -> list[str]:
    """As command-line flags, without those that are None."""
    words = []
    for name, value in options.items():
        single = isinstance(value, str | Path) or not isinstance(value, Iterable)
        values = [value] if single else value
        words += [f"--{name.replace('_', '-')}", *map(str, values)] if value is not None else []
    return words


def _overrides(options: Sequence[str]) -> list[str]:
    """
    Raises:
        UserError: one text, or a dict, whose parts would be taken for overrides.
    """
    if isinstance(options, str | Mapping):
        raise UserError(f'options={options!r} must be a list of "key=value"')
    return list(options)


def _each(flag: str, values: str | Sequence[str]) -> list[str]:
    """A flag that a command takes once per value."""
    values = [values] if isinstance(values, str) else values
    return [word for value in values for word in (flag, value)]


def _say(command: str, words: Sequence[object]) -> None:
    print("Equivalent command: hdetr-d2", command, shlex.join(map(str, words)), flush=True)
