"""The README.md of a shared model: a header for the hub, and what is known about the model.
Anything unknown is left out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from huggingface_hub import EvalResult, ModelCardData

from hdetr_d2.checkpoint.folder import CLASSES, CONFIG, WEIGHTS
from hdetr_d2.model_zoo.facts import Fact, Facts
from hdetr_d2.model_zoo.record import CLASS

LIBRARY, TASK = "hdetr_d2", "object-detection"
TASKS = {"bbox": "boxes", "segm": "masks", "panoptic_seg": "panoptic segmentation"}
_CODE = """```python
import hdetr_d2

predictor = hdetr_d2.from_pretrained({name})
for found in predictor("photo.jpg", score_threshold=0.5):
    print(found["category_name"], found["score"], found["bbox"])  # x, y, width, height in pixels
```"""


@dataclass(frozen=True)
class ModelCard:
    """
    Attributes:
        name: of the model on the hub, or of its folder.
        class_names: by class index.
        facts: from its config.
        iteration: number of completed iterations; None if unknown.
        figures: see `Record.figures`.
        pictures: file names -> captions.
    """

    name: str
    class_names: Sequence[str]
    facts: Facts
    iteration: int | None = None
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Markdown."""
        count = len(self.class_names)
        parts = [
            f"---\n{self._head()}\n---",
            f"# {_plain(self.name)}",
            f"Finds objects of {count} {'class' if count == 1 else 'classes'} in images, with "
            f"{LIBRARY}. The weights are in `{WEIGHTS}`, the whole config in `{CONFIG}`, the names "
            f"of the classes in `{CLASSES}`.",
            _CODE.format(name=json.dumps(self.name)),
            "## Model",
            _facts(self.facts.architecture()),
            *self._training(),
            *self._results(),
            "## Classes",
            self._classes(),
            *(f"![{label}]({file})" for file, label in self.pictures.items()),
        ]
        return "\n\n".join(parts) + "\n"

    def _head(self) -> str:
        """YAML."""
        data = self.facts.evaluated_on()
        results = [
            EvalResult(TASK, data, data, metric, value, metric_name=f"{metric} of {TASKS[task]}")
            for task, values in self.figures.items()
            for metric, value in _overall(values).items()
            if data
        ]
        head = ModelCardData(
            library_name=LIBRARY,
            pipeline_tag=TASK,
            metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
            model_name=self.name.rpartition("/")[-1] if results else None,
            eval_results=results or None,
        )
        return head.to_yaml()

    def _training(self) -> list[str]:
        if self.iteration is None:  # otherwise the config is not that of a training of ours
            return []
        facts = [*self.facts.data(), *self.facts.training(self.iteration)]
        return ["## Training", _facts(facts)]

    def _results(self) -> list[str]:
        parts = []
        for task, values in self.figures.items():
            overall = _overall(values)
            parts.append(f"{TASKS[task].capitalize()}, in percent:")
            parts.append(_table([*overall], [[f"{value:.2f}" for value in overall.values()]]))
        data = self.facts.evaluated_on()
        heading = f"## Results on {_plain(data)}" if data else "## Results"
        return [heading, *parts] if parts else []

    def _classes(self) -> str:
        """What is known about each class, as a table."""
        columns: dict[str, list[str]] = {"class": list(self.class_names)}
        counts = self.facts.images_of_classes()
        if self.iteration is not None and counts and len(counts) == len(self.class_names):
            columns["training images with it"] = [str(count) for count in counts]
        for task, values in self.figures.items():
            each = [values.get(f"{CLASS}{name}") for name in self.class_names]
            if any(value is not None for value in each):
                texts = ["" if value is None else f"{value:.2f}" for value in each]
                columns[f"AP of {TASKS[task]}"] = texts
        return _table([*columns], [[*row] for row in zip(*columns.values(), strict=True)])


def _overall(values: Mapping[str, float]) -> dict[str, float]:
    """The overall figures, with two decimals."""
    return {name: round(value, 2) for name, value in values.items() if not name.startswith(CLASS)}


def _facts(facts: Sequence[Fact]) -> str:
    return _table(["", ""], [list(fact) for fact in facts])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_plain, line))} |" for line in lines)


def _plain(text: str) -> str:
    """Escapes text so that Markdown shows it as it is, on one line."""
    return " ".join(text.translate(_MARKUP).split())


_MARKUP = {ord(letter): f"\\{letter}" for letter in "\\`*[]<>|#"}
