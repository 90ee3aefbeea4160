"""A hub on loopback: as much of its protocol as huggingface_hub asks for when it uploads a model
without Xet, and downloads one.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_a_user"
LARGE = ".safetensors"
Files = dict[str, bytes]


class FakeHub:
    """
    Attributes:
        repos: name -> files of its only revision, "main".
        private, gated: names that are seen with the token alone; of the latter others are told.
        requests: (method, path, range) of all so far.
        cut: name of a file -> after how many bytes of it the connection is closed, the next times.
        damaged: files of which a wrong last byte is sent.
        is_full: large files are refused.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Files] = {}
        self.private: set[str] = set()
        self.gated: set[str] = set()
        self.requests: list[tuple[str, str, str | None]] = []
        self.cut: dict[str, list[int]] = {}
        self.damaged: set[str] = set()
        self.is_full = False
        self.large: dict[str, bytes] = {}
        self.url = ""

    def asked(self, method: str, ending: str) -> list[str | None]:
        """Ranges of the requests whose path ends so."""
        return [r for m, path, r in self.requests if m == method and path.endswith(ending)]


def commit_of(files: Files) -> str:
    names = sorted((name, etag(name, content)) for name, content in files.items())
    return hashlib.sha1(repr(names).encode()).hexdigest()


def etag(name: str, content: bytes) -> str:
    """SHA-256 of what Git LFS keeps, and of anything else the name that git gives it."""
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def running() -> Iterator[FakeHub]:
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    do_GET = do_POST = do_PUT = do_HEAD

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers["Range"]))
        self.body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.known = self.headers["Authorization"] == f"Bearer {TOKEN}"
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            self._create()
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif parts[:2] == ["api", "models"] and len(parts) > 4:
            self._api("/".join(parts[2:4]), parts[4])
        elif parts[0] == "api":
            self._json({"error": "Repository not found"}, 401, {"X-Error-Code": "RepoNotFound"})
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch()
        elif parts[0] == "large":
            self._keep(parts[1])
        else:
            self._resolve("/".join(parts[:2]), "/".join(parts[4:]))

    def _create(self) -> None:
        wanted = json.loads(self.body)
        name = f"{wanted['organization']}/{wanted['name']}"
        if not self.known:
            self._json({"error": "Invalid username or password."}, 401)
        elif wanted["organization"] != "user":
            self._json({"error": "You don't have the rights to create a model here"}, 403)
        elif name in self.hub.repos:
            self._json(
                {"error": "You already created this model repo", "url": self._page(name)}, 409
            )
        else:
            self.hub.repos[name] = {}
            if wanted.get("visibility") == "private":
                self.hub.private.add(name)
            self._json({"url": self._page(name)})

    def _page(self, name: str) -> str:
        return f"{self.hub.url}/{name}"

    def _seen(self, name: str) -> bool:
        if name in self.hub.gated and not self.known:
            self._json({"error": "ask its owner"}, 401, {"X-Error-Code": "GatedRepo"})
            return False
        if name in self.hub.repos and (self.known or name not in self.hub.private):
            return True
        self._json({"error": "Repository not found"}, 401, {"X-Error-Code": "RepoNotFound"})
        return False

    def _api(self, name: str, action: str) -> None:
        if not self._seen(name):
            return
        files, revision = self.hub.repos[name], self.path.split("?")[0].split("/")[6]
        if revision not in ("main", commit_of(files)):
            self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        elif action == "revision":
            siblings = [{"rfilename": path} for path in files]
            self._json({"id": name, "sha": commit_of(files), "siblings": siblings})
        elif action == "tree":
            self._json([self._entry(path, content) for path, content in files.items()])
        elif action == "preupload":
            sent = [file["path"] for file in json.loads(self.body)["files"]]
            modes = {path: "lfs" if path.endswith(LARGE) else "regular" for path in sent}
            listed = [
                {"path": path, "uploadMode": mode, "shouldIgnore": False}
                for path, mode in modes.items()
            ]
            self._json({"files": listed})
        elif action == "commit":
            self._commit(name)

    def _entry(self, path: str, content: bytes) -> dict:
        entry = {"type": "file", "path": path, "size": len(content), "oid": etag(path, content)}
        if path.endswith(LARGE):
            sums = {"oid": etag(path, content), "size": len(content), "pointerSize": 130}
            entry["lfs"] = sums
        return entry

    def _batch(self) -> None:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.hub.url}/large/{each['oid']}"}}}
            for each in json.loads(self.body)["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _keep(self, oid: str) -> None:
        if self.hub.is_full or hashlib.sha256(self.body).hexdigest() != oid:
            self._json({"error": "no room"}, 403)
            return
        self.hub.large[oid] = self.body
        self._json({})

    def _commit(self, name: str) -> None:
        files = dict(self.hub.repos[name])
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.hub.repos[name] = files
        self._json({"commitUrl": self._page(name), "commitOid": commit_of(files)})

    def _resolve(self, name: str, file: str) -> None:
        if not self._seen(name):
            return
        files = self.hub.repos[name]
        head = {"X-Repo-Commit": commit_of(files)}
        if file not in files:
            self._json({"error": "not found"}, 404, head | {"X-Error-Code": "EntryNotFound"})
            return
        content = files[file]
        head |= {"ETag": f'"{etag(file, content)}"', "Accept-Ranges": "bytes"}
        if file in self.hub.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        status, start = 200, 0
        if wanted := self.headers["Range"]:
            status, start = 206, int(wanted.removeprefix("bytes=").partition("-")[0])
            head["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(content[start:], status, head, file)

    def _json(self, answer: object, status: int = 200, head: dict | None = None) -> None:
        error = answer.get("error") if isinstance(answer, dict) else None
        if error:
            head = {**(head or {}), "X-Error-Message": error}
        content_type = {"Content-Type": "application/json"}
        self._send(json.dumps(answer).encode(), status, {**content_type, **(head or {})})

    def _send(self, content: bytes, status: int, head: dict, file: str = "") -> None:
        self.send_response(status)
        for name, value in {**head, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cuts = self.hub.cut.get(file)
        self.wfile.write(content[: cuts[0]] if cuts else content)
        if cuts:
            self.close_connection = True
            cuts.pop(0)
