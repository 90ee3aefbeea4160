"""The model card: what is known, and nothing else."""

import yaml

from hdetr_d2.model_zoo.card import ModelCard
from hdetr_d2.model_zoo.facts import Facts

CONFIG = """
data:
  train_name: cats_train
  train_json: /home/me/secret/train.json
  val_name: cats_val
  image_counts: [31, 7]
model:
  _target_: hdetr_d2.modeling.DETR
  backbone: {name: resnet50, pretrained: true, _target_: hdetr_d2.modeling.TimmBackbone}
  encoder: {num_layers: 6, _target_: hdetr_d2.modeling.DeformableEncoder}
  decoder: {num_layers: "${gone.layers}", _target_: hdetr_d2.modeling.DeformableDecoder}
  schemes: [{_target_: hdetr_d2.schemes.HybridBranch}]
optimizer: {lr: 0.0002, _target_: torch.optim.AdamW}
train: {max_iter: 200, iterations_per_epoch: 40, ema: {enabled: false, decay: 0.9}}
"""
NAMES = ["cat", "a|b <img>"]
FIGURES = {"bbox": {"AP": 50.126, "AP50": 70.0, "AP-cat": 60.0}}


def head_and_text(card: ModelCard) -> tuple[dict, str]:
    before, head, text = card.text().split("---\n", 2)
    assert before == ""
    return yaml.safe_load(head), text


def test_a_trained_model() -> None:
    head, text = head_and_text(
        ModelCard("me/cats", NAMES, Facts(CONFIG), 100, FIGURES, {"curves.png": "Losses"})
    )
    assert (head["library_name"], head["pipeline_tag"]) == ("hdetr_d2", "object-detection")
    assert head["metrics"] == ["AP", "AP50"]
    (index,) = head["model-index"]
    (result,) = index["results"]
    assert index["name"] == "cats"
    assert result["dataset"] == {"name": "cats_val", "type": "cats_val"}
    assert [(m["type"], m["value"]) for m in result["metrics"]] == [("AP", 50.13), ("AP50", 70.0)]
    assert text == (
        """
# me/cats

Finds objects of 2 classes in images, with hdetr_d2. The weights are in `model.safetensors`, the """
        """whole config in `config.yaml`, the names of the classes in `class_names.json`.

```python
import hdetr_d2

predictor = hdetr_d2.from_pretrained("me/cats")
for found in predictor("photo.jpg", score_threshold=0.5):
    print(found["category_name"], found["score"], found["bbox"])  # x, y, width, height in pixels
```

## Model

|  |  |
| --- | --- |
| model | DETR |
| backbone | resnet50 |
| encoder | DeformableEncoder of 6 layers |
| decoder | DeformableDecoder |

## Training

|  |  |
| --- | --- |
| trained on | cats_train (train.json) |
| evaluated on | cats_val |
| schemes | HybridBranch |
| iterations | 100 of 200, 2.5 epochs |
| optimizer | AdamW, lr 0.0002 |
| weights at the start | timm's, of the backbone |

## Results on cats_val

Boxes, in percent:

| AP | AP50 |
| --- | --- |
| 50.13 | 70.00 |

## Classes

| class | training images with it | AP of boxes |
| --- | --- | --- |
| cat | 31 | 60.00 |
| a\\|b \\<img\\> | 7 |  |

![Losses](curves.png)
"""
    )


def test_nothing_is_told_of_a_training_that_is_not_known() -> None:
    head, text = head_and_text(ModelCard("cats", ["cat"], Facts(CONFIG)))
    assert head == {"library_name": "hdetr_d2", "pipeline_tag": "object-detection"}
    assert "Finds objects of 1 class in" in text
    assert text.endswith("## Classes\n\n| class |\n| --- |\n| cat |\n")
    for word in ("Training", "Results", "AP", "31", "AdamW", "secret"):
        assert word not in text


def test_a_training_without_an_evaluation_has_no_results() -> None:
    head, text = head_and_text(ModelCard("cats", NAMES, Facts(CONFIG), 100))
    assert "metrics" not in head and "model-index" not in head
    assert "## Training" in text and "Results" not in text


def test_a_config_may_say_next_to_nothing() -> None:
    facts = Facts("model: {_target_: a.b.Detector}")
    assert facts.architecture() == [("model", "Detector")]
    assert facts.training(3) == [("iterations", "3 of an unknown number")]
    assert (facts.data(), facts.evaluated_on(), facts.images_of_classes()) == ([], None, None)


def test_weights_at_the_start_are_named_without_their_folders() -> None:
    def start(text: str) -> str:
        return dict(Facts(text).training(1))["weights at the start"]

    assert start("train: {init_checkpoint: /home/me/other.pth}") == "other.pth"
    assert start("model: {backbone: {pretrained: /home/r50.pth}}") == "r50.pth, of the backbone"
    assert (
        start("model: {backbone: {pretrained: offline}}") == "those of a package, of the backbone"
    )
