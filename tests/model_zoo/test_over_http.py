"""Published files from a server on this machine: by two processes at once, with the files beside,
cut off, and of another size.
"""

from hdetr_d2 import model_zoo  # noqa: F401

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import safetensors.torch

from hdetr_d2.errors import UserError
from hdetr_d2.model_zoo.download import converted
from hdetr_d2.model_zoo.published import Published

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
import golden

TESTS = Path(__file__).parents[1]
WEIGHTS = "model.safetensors"
# What one of two processes runs.
PROGRAM = """
import sys
from hdetr_d2.model_zoo.download import converted
from hdetr_d2.model_zoo.published import Published
beside = ("config.json", "preprocessor_config.json")
print(converted(Published(sys.argv[1], "transformers", 40.0, beside=beside)))
"""


class Handler(SimpleHTTPRequestHandler):
    """Notes what is asked for; says of `cut` that it is longer than it is."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        if self.path.endswith("/cut.pth"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"too short")
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    asked: list[str]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    (tmp_path / "files" / "owner").mkdir(parents=True)
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    handler = partial(Handler, directory=str(tmp_path / "files"))
    with Server(("127.0.0.1", 0), handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def address(server: Server, name: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/owner/{name}"


def test_a_download_that_is_cut_off_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cut\.pth cannot be downloaded: .*retrieval incomplete"):
        converted(Published(address(server, "cut.pth"), "detr", 40.0))
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert all(path.suffix == ".lock" for path in left)


def test_a_file_of_another_size_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "files" / "owner" / "a.pth").write_bytes(b"abc")
    with pytest.raises(UserError, match=r"a\.pth is not http.* \(3 bytes, not 4\): delete it"):
        converted(Published(address(server, "a.pth"), "detr", 40.0, size=4))


@pytest.mark.slow
def test_two_processes_at_once_download_and_convert_once(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "files" / "owner"
    case = golden.load("transformers_detr", TESTS / "checkpoint" / "importers")
    safetensors.torch.save_file(case.state_dict(), folder / WEIGHTS)
    (folder / "config.json").write_text(json.dumps(case.config))
    (folder / "preprocessor_config.json").write_text(json.dumps(case.processor))
    command = [sys.executable, "-c", PROGRAM, address(server, WEIGHTS)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=300)[0].splitlines()[-1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers[0] == answers[1] and Path(answers[0]).is_file()
    names = {WEIGHTS, "config.json", "preprocessor_config.json"}
    assert sorted(server.asked) == sorted(f"/owner/{name}" for name in names)
    made = [path for path in (tmp_path / "cache" / "hdetr_d2").iterdir() if path.is_dir()]
    assert made == [Path(answers[0]).parent]
