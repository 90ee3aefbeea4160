"""`hdetr-d2 push`, with the environment's words for where and who."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_hub import TOKEN, FakeHub, running

from hdetr_d2.commands.push import main

ROOT = Path(__file__).resolve().parents[2]


def test_a_checkpoint_is_sent(
    hub: FakeHub, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(checkpoint), "user/shapes", "--private"]) == 0
    assert capsys.readouterr().out == f"{hub.url}/user/shapes\n"
    assert 'from_pretrained("user/shapes")' in hub.repos["user/shapes"]["README.md"].decode()
    assert hub.private == {"user/shapes"}


def test_a_folder_is_written_first_and_sent_as_it_is(
    hub: FakeHub, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shapes"
    assert main([str(checkpoint), "user/shapes", "--folder", str(folder)]) == 0
    assert capsys.readouterr().out == f"Written: {folder}\n"
    assert hub.requests == []
    card = folder / "README.md"
    assert 'from_pretrained("user/shapes")' in card.read_text(encoding="utf-8")
    card.write_text("my own words")
    assert main([str(folder), "user/shapes"]) == 0
    sent = hub.repos["user/shapes"]
    assert sent == {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give the model's name on the hub (user/model), or --folder"),
        (["a b/c"], "error: a b/c is not the name of a model on the hub"),
        (["other/x"], "error: other/x cannot be uploaded: You don't have the rights"),
        (["--folder", "."], "error: --folder . is there already"),
    ],
)
def test_what_is_wrong_is_one_line(
    hub: FakeHub,
    checkpoint: Path,
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(checkpoint), *arguments])
    assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert hub.repos == {}


@pytest.mark.slow
def test_the_variables_of_the_hub_are_those_of_its_library(
    checkpoint: Path, tmp_path: Path
) -> None:
    """In new processes: huggingface_hub reads them when it is imported."""
    code = "import hdetr_d2, sys; p = hdetr_d2.from_pretrained('user/shapes'); print(p.class_names)"

    def run(*command: object, **variables: str) -> str:
        environment = {**os.environ, "HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        environment |= {"HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1"} | variables
        words = [sys.executable, *map(str, command)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    with running() as hub:
        endpoint = {"HF_ENDPOINT": hub.url}
        run("-m", "hdetr_d2", "push", checkpoint, "user/shapes", HF_TOKEN=TOKEN, **endpoint)
        assert "a square" in run("-c", code, **endpoint)
    assert "a square" in run("-c", code, HF_HUB_OFFLINE="1")
