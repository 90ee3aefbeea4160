"""Models go to a hub and come from one, whatever happens on the way."""

import shutil
import socket
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from fake_hub import TOKEN, FakeHub

from hdetr_d2.errors import UserError
from hdetr_d2.model_zoo import from_pretrained, push
from hdetr_d2.runtime import Predictor

WEIGHTS = "model.safetensors"
IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.fixture
def published(hub: FakeHub, shared: Path) -> FakeHub:
    """A hub with the model "user/shapes"."""
    hub.repos["user/shapes"] = {path.name: path.read_bytes() for path in shared.iterdir()}
    return hub


def blobs(tmp_path: Path) -> list[bytes]:
    return [path.read_bytes() for path in (tmp_path / "cache").rglob("blobs/*")]


def same(one: Predictor, other: Predictor) -> bool:
    found = one(IMAGE, score_threshold=0.0)
    return len(found) > 5 and found == other(IMAGE, score_threshold=0.0)


def test_there_and_back(hub: FakeHub, shared: Path, predictor: Predictor) -> None:
    assert push(shared, "user/shapes") == f"{hub.url}/user/shapes"
    assert hub.repos["user/shapes"] == {path.name: path.read_bytes() for path in shared.iterdir()}
    assert [*hub.large.values()] == [(shared / WEIGHTS).read_bytes()]
    assert not hub.private
    assert same(from_pretrained("user/shapes", device="cpu"), predictor)


def test_what_is_there_is_replaced_in_one_commit(hub: FakeHub, shared: Path) -> None:
    before = {"README.md": b"before", "LICENSE": b"mine", "examples.png": b"of another run"}
    hub.repos["user/shapes"] = before
    push(shared, "user/shapes")
    files = hub.repos["user/shapes"]
    assert "examples.png" not in files
    assert files["README.md"] == (shared / "README.md").read_bytes()
    assert files["LICENSE"] == b"mine"
    assert len(hub.asked("POST", "/commit/main")) == 1


def test_only_files_of_the_model_are_sent(hub: FakeHub, shared: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shared, tmp_path / "mine"))
    (folder / "notes.txt").write_text("secret")
    push(folder, "user/mine", private=True)
    assert "notes.txt" not in hub.repos["user/mine"]
    assert hub.private == {"user/mine"}


def test_it_is_downloaded_once(published: FakeHub) -> None:
    from_pretrained("user/shapes", device="cpu")
    from_pretrained("user/shapes", device="cpu")
    assert len(published.asked("GET", WEIGHTS)) == 1
    assert published.asked("GET", "README.md") == []


def test_without_a_network_the_cache_answers(
    published: FakeHub, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_pretrained("user/shapes", device="cpu")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    before = len(published.requests)
    assert same(from_pretrained("user/shapes", device="cpu"), predictor)
    with pytest.raises(UserError, match=r"^user/other is not in the cache.*HF_HUB_OFFLINE"):
        from_pretrained("user/other")
    assert len(published.requests) == before


def test_a_hub_that_does_not_answer(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    with pytest.raises(
        UserError, match=rf"^user/shapes is not in the cache.*{url} does not answer"
    ):
        from_pretrained("user/shapes")


def test_a_download_goes_on_where_it_was_cut(
    published: FakeHub, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    published.cut[WEIGHTS] = [50_500, 10_000]
    assert same(from_pretrained("user/shapes", device="cpu"), predictor)
    assert published.asked("GET", WEIGHTS) == [None, "bytes=50000-", "bytes=60000-"]


def test_a_download_that_never_ends_leaves_nothing(
    published: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    published.cut[WEIGHTS] = [0] * 10
    with pytest.raises(UserError, match=r"^user/shapes cannot be downloaded: .*closed"):
        from_pretrained("user/shapes")
    assert all(len(content) < 100_000 for content in blobs(tmp_path))
    assert not list((tmp_path / "cache").rglob(WEIGHTS))


@pytest.mark.parametrize("name", [WEIGHTS, "config.yaml"])
def test_what_is_not_as_on_the_hub_is_refused_and_not_kept(
    published: FakeHub, predictor: Predictor, tmp_path: Path, name: str
) -> None:
    published.damaged.add(name)
    with pytest.raises(UserError, match=rf"{name} of user/shapes is damaged .*try again"):
        from_pretrained("user/shapes")
    assert not list((tmp_path / "cache").rglob(name))
    published.damaged.clear()
    assert same(from_pretrained("user/shapes", device="cpu"), predictor)


def test_a_file_that_changes_in_the_cache_is_noticed(published: FakeHub, tmp_path: Path) -> None:
    from_pretrained("user/shapes", device="cpu")
    (weights,) = (tmp_path / "cache").rglob(WEIGHTS)
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(UserError, match="is damaged"):
        from_pretrained("user/shapes")


def test_names_that_lead_out_of_the_folder_are_not_followed(
    published: FakeHub, tmp_path: Path
) -> None:
    outside = ["../../../../../evil", "/evil", "a/../../evil", "..", f"{tmp_path}/evil"]
    published.repos["user/shapes"] |= dict.fromkeys(outside, b"evil")
    published.repos["user/shapes"] |= {"sub/config.yaml": b"another", "model.pth": b"a pickle"}
    from_pretrained("user/shapes", device="cpu")
    assert {Path(path).name for method, path, _ in published.requests if "/resolve/" in path} == {
        *("model.safetensors", "config.yaml", "class_names.json")
    }
    assert not list(tmp_path.rglob("evil"))
    assert {path.name for path in tmp_path.iterdir()} == {"cache"}


def test_pickles_are_not_downloaded(hub: FakeHub) -> None:
    hub.repos["user/old"] = {"pytorch_model.bin": b"\x80\x04.", "config.yaml": b"a: 1\n"}
    with pytest.raises(UserError, match=r"lacks model\.safetensors, class_names\.json"):
        from_pretrained("user/old")
    assert hub.asked("GET", "pytorch_model.bin") == []


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("private", r"has no model user/shapes that you may see.*HF_TOKEN"),
        ("gated", r"^user/shapes is only shown to users whom its owner has accepted: .*HF_TOKEN"),
    ],
)
def test_some_models_are_not_for_everybody(
    published: FakeHub,
    predictor: Predictor,
    kind: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    getattr(published, kind).add("user/shapes")
    with monkeypatch.context() as patch:
        patch.delenv("HF_TOKEN")
        with pytest.raises(UserError, match=sentence):
            from_pretrained("user/shapes")
    assert same(from_pretrained("user/shapes", device="cpu"), predictor)


def test_a_revision_is_named(published: FakeHub) -> None:
    with pytest.raises(UserError, match=r"^user/shapes has no such revision on http"):
        from_pretrained("user/shapes", revision="v2")
    from_pretrained("user/shapes", revision="main", device="cpu")


@pytest.mark.parametrize("name", ["a", "a/b/c", "../shapes", "user/sha pes", "user/", "/x"])
def test_what_is_no_name_is_told_without_a_request(hub: FakeHub, shared: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"name of a model on the hub"):
        from_pretrained(name)
    with pytest.raises(UserError, match=r"name of a model on the hub"):
        push(shared, name)
    assert hub.requests == []


def test_who_may_not_write_is_told(
    hub: FakeHub, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"^other/x cannot be uploaded: You don't have the rights"):
        push(shared, "other/x")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(UserError, match=r"^user/x cannot be uploaded: Invalid username or pass"):
        push(shared, "user/x")
    monkeypatch.delenv("HF_TOKEN")
    before = len(hub.requests)
    with pytest.raises(UserError, match=r"^user/x cannot be uploaded: .*auth login.*HF_TOKEN"):
        push(shared, "user/x")
    assert len(hub.requests) == before and hub.repos == {} and TOKEN != "hf_wrong"


def test_an_upload_that_fails_changes_nothing(hub: FakeHub, shared: Path) -> None:
    hub.repos["user/shapes"] = {"README.md": b"before"}
    hub.is_full = True
    with pytest.raises(UserError, match=r"^user/shapes cannot be uploaded: "):
        push(shared, "user/shapes")
    assert hub.repos["user/shapes"] == {"README.md": b"before"}


def test_a_damaged_folder_is_not_sent(hub: FakeHub, shared: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shared, tmp_path / "mine"))
    (folder / WEIGHTS).write_bytes(b"")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        push(folder, "user/mine")
    assert hub.requests == []
