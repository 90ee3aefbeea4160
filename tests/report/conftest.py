"""A headless Chromium that is told what to do through two pipes: no port, no package."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
    "--window-size=1200,900",
)


class Browser:
    """One page. What it complains of is in `complaints`, what it asks for in `requests`."""

    def __init__(self, program: str) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, to_us = os.pipe(), os.pipe()
        command = [program, *OPTIONS, "about:blank"]
        command += ["--remote-debugging-pipe", f"--user-data-dir={self.profile.name}"]
        redirect = f'exec "$@" 3<&{to_browser[0]} 4>&{to_us[1]}'
        self.process = subprocess.Popen(
            ["bash", "-c", redirect, "bash", *command],
            pass_fds=(to_browser[0], to_us[1]),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        os.close(to_browser[0])
        os.close(to_us[1])
        self.out, self.back = os.fdopen(to_browser[1], "wb", 0), os.fdopen(to_us[0], "rb", 0)
        self.rest, self.number, self.session = b"", 0, ""
        self.loaded = False
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in targets if each["type"] == "page")
        given = {"targetId": page, "flatten": True}
        self.session = self.send("Target.attachToTarget", **given)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Give an order and wait for the answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        self.out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def resize(self, width: int, height: int = 900) -> None:
        """The window of another device."""
        given = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **given)

    def open(self, page: Path) -> float:
        """Load a page; returns the seconds until it is drawn."""
        self.loaded, start = False, time.perf_counter()
        self.send("Page.navigate", url=page.resolve().as_uri())
        while not self.loaded:
            self._next()
        self.settle()
        return time.perf_counter() - start

    def settle(self) -> None:
        """Wait until what was changed is drawn."""
        frames = "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))"
        self.ask(f"new Promise((done) => {frames})")

    def ask(self, expression: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        given = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        answer = self.send("Runtime.evaluate", **given)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """A key, down and up."""
        for kind in ("keyDown", "keyUp"):
            given = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}
            given |= {"text": "\r"} if (kind, key) == ("keyDown", "Enter") else {}
            self.send("Input.dispatchKeyEvent", **given)
        self.settle()

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.out.close()
        self.back.close()
        self.profile.cleanup()

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            part = self.back.read(1 << 16)
            assert part, "the browser has ended"
            self.rest += part
        text, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])


@pytest.fixture
def browser() -> Iterator[Browser]:
    program = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no Chromium here (apt install chromium): {', '.join(PROGRAMS)}")
    browser = Browser(program)
    yield browser
    browser.close()


CLASSES = ("cat", "</script><b>dog")
BOXES = ([10, 10, 30, 20], [60, 40, 30, 30])


def truth_of(count: int) -> dict[str, Any]:
    """Images of two objects, the last one of a crowd; names as strangers may choose them."""
    entries = [(image, place) for image in range(count) for place in range(2)]
    return {
        "images": [
            {"id": i, "width": 100, "height": 80, "file_name": f"<i>{i}&.png"} for i in range(count)
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate(CLASSES)],
        "annotations": [
            {"id": n, "image_id": image, "category_id": place, "bbox": BOXES[place], "area": 600}
            | {"iscrowd": int(image == count - 1 and place == 1)}
            for n, (image, place) in enumerate(entries)
        ],
    }


def found_in(count: int, *, shift: int = 0) -> list[dict[str, Any]]:
    """The first object of every image, the second one in every other, and a false alarm."""
    found = []
    for image in range(count):
        pairs = [(0, BOXES[0], 0.9), (1, [0, 60, 15, 15], 0.4 + shift / 10)]
        pairs += [(1, BOXES[1], 0.6)] if image % 2 == shift else []
        found += [
            {"image_id": image, "category_id": label, "bbox": box, "score": score}
            for label, box, score in pairs
        ]
    return found


@pytest.fixture
def make_data() -> Callable[..., tuple[dict, list[dict]]]:
    return lambda count, shift=0: (truth_of(count), found_in(count, shift=shift))
