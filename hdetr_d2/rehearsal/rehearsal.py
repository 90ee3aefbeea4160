"""Causes failures in a short training, repeatedly and at random moments."""

import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from hdetr_d2.errors import UserError
from hdetr_d2.rehearsal.failures import Failure, Place
from hdetr_d2.rehearsal.spoiled import Spoil
from hdetr_d2.rehearsal.training import Training
from hdetr_d2.rehearsal.trial import Trial, faults_of_an_end, faults_of_files, faults_of_weights

CONFIG = "quickstart/deformable_detr_shapes.py"
SMALL = (
    "train.device=cpu",
    "train.eval_period_epochs=4",
    "train.checkpoint.period_epochs=1",
    "train.log_period=10",
    "data.generate.num_train=9",
    "data.generate.num_val=3",
    "data.generate.image_size=64",
    "dataloader.train.total_batch_size=2",
    "dataloader.train.num_workers=1",
    "dataloader.test.num_workers=0",
    "model.backbone.name=test_resnet",
    "model.backbone.pretrained=false",
    "model.backbone.frozen=0",
    "model.backbone.norm=gn",
    "model.backbone.out_features=[res3,res4,res5]",
    "model.neck.in_shapes=[48,192,96]",
    "model.neck.out_channels=64",
    "model.neck.num_levels=3",
    "model.encoder.sizes.feedforward_dim=64",
    "model.decoder.num_layers=2",
    "model.freeze=[]",
)
"""The quickstart config, made as small as possible; its schemes draw random numbers in every
step.
"""


class Rehearsal:
    """Runs the same training once undisturbed, and then disturbed and resumed.

    Args:
        folder: folder for all output; that of failed trials is kept there.
        options: config overrides, as for the training script.
        steps: number of training steps.
        count: number of processes.
    """

    def __init__(
        self, folder: Path, *, options: Sequence[str] = (), steps: int = 80, count: int = 2
    ) -> None:
        self.folder = folder.absolute()
        self.steps = steps
        self.count = count
        self.options = [*SMALL, f"dataloader.train.total_batch_size={count}", *options]
        self.place: Place | None = None
        self.seconds = 0.0

    def undisturbed(self) -> None:
        """Trains without a failure.

        Raises:
            UserError: the training fails.
        """
        reference = self.folder / "undisturbed"
        shutil.rmtree(reference, ignore_errors=True)
        training = self._start(reference)
        try:
            statuses = training.wait()
        finally:
            training.stop()
        if any(statuses):
            raise UserError(f"the undisturbed training failed: see {training.outputs[0]}")
        self.seconds = time.monotonic() - training.began
        files = [path for path in reference.rglob("*") if path.is_file()]
        self.place = Place(
            run=self.folder / "run",
            data=self.folder / "data",
            size=sum(path.stat().st_size for path in files),
            checkpoint=(reference / "model_final.pth").stat().st_size,
            steps=self.steps,
            count=self.count,
        )

    def trial(self, failure: Failure, seed: int) -> Trial:
        """Causes the failure once, at a moment determined by the seed, and resumes from what is
        left.

        Raises:
            UserError: see `undisturbed`.
        """
        if self.place is None:
            self.undisturbed()
        place, chance = self.place, random.Random(f"{failure.name} {seed}")
        assert place is not None
        shutil.rmtree(place.run, ignore_errors=True)
        at = chance.uniform(0, self.seconds)
        spoil = failure.prepare(place, chance)
        try:
            options = () if spoil is None else ("train.max_bad_steps=1",)
            training = self._start(place.run, *options, spoil=spoil)
            if spoil is None:
                time.sleep(at)
            struck = time.monotonic()
            failure.strike(training, place, chance)
            statuses, texts = training.wait(), training.read()
            seconds = time.monotonic() - struck
            faults = faults_of_an_end(failure, statuses, texts)
            failure.heal(place)
            faults += faults_of_files(place.run)
            again = self._start(place.run)
            if any(again.wait()):
                faults.append(f"it does not go on: see {again.outputs[0]}")
            faults += faults_of_weights(place.run, self.folder / "undisturbed")
            if faults:
                self._keep(place.run, f"{failure.name}_{seed}", texts)
        finally:
            failure.clean(place)
        touched = any(statuses) or any(failure.sentence in text for text in texts)
        return Trial(at, seconds, touched, tuple(faults))

    def _start(self, run: Path, *options: str, spoil: Spoil | None = None) -> Training:
        arguments = ["--config-file", CONFIG, "--resume", *self.options, *options]
        arguments += [f"train.max_iter={self.steps}", f"train.output_dir={run}"]
        arguments += [f"data.generate.root={self.folder / 'data'}"]
        return Training(arguments, self.folder / "printed", count=self.count, spoil=spoil)

    def _keep(self, run: Path, name: str, texts: Sequence[str]) -> None:
        """Keeps the output of a failed trial for investigation."""
        wrong = self.folder / "wrong" / name
        shutil.rmtree(wrong, ignore_errors=True)
        shutil.copytree(run, wrong)
        for rank, text in enumerate(texts):
            (wrong / f"process_{rank}.txt").write_text(text)
