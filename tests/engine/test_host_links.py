import errno
import logging
import socket
import threading

import pytest

from hdetr_d2.engine import host_links
from hdetr_d2.engine.host_links import (
    HELLO,
    PROBES,
    _accept,
    _connect,
    _let_systems_ask,
    _processes,
    _reason,
    _serve,
    _watch,
)

TOKEN = "0123456789abcdef" * 2


class Silent:
    """A connection of which the system has given up asking."""

    def __init__(self, number: int) -> None:
        self.number = number

    def recv(self, size: int) -> bytes:
        raise OSError(self.number, "")


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH])
def test_what_is_lost_and_for_how_long_is_told(number: int) -> None:
    reason = _reason(Silent(number), "host b (10.0.0.2) with process 1", 60.0)
    assert reason == (
        "nothing was heard of host b (10.0.0.2) with process 1 for 60 seconds "
        "(train.host_timeout_seconds): that host, or the link to it, is down; "
        "--resume goes on from the last checkpoint"
    )
    assert [_processes(8, 8), _processes(3, 1)] == ["processes 8 to 15", "process 3"]


def test_a_process_that_ends_is_the_business_of_others() -> None:
    ends: list[str] = []
    pairs = [socket.socketpair() for _ in range(2)]
    pairs[0][1].close()
    pairs[1][1].close()
    _watch({here: "host b" for here, _ in pairs}, 60.0, ends.append)  # returns: nothing is left
    assert ends == []
    assert _reason(Silent(errno.ECONNRESET), "host b", 60.0) == ""


def test_the_first_process_tells_the_others_why_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_links, "FAREWELL", 0.0)
    ends: list[str] = []
    (gone, far), (other, theirs) = socket.socketpair(), socket.socketpair()
    far.sendall(b"nothing was heard of host c")
    _watch({gone: "host c", other: "host b"}, 60.0, ends.append)
    _watch({theirs: "host a"}, 60.0, ends.append)
    assert ends == ["nothing was heard of host c"] * 2


def test_strangers_are_turned_away_and_who_is_missing_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(host_links, "PATIENCE", 2.0)
    server, found = _serve(), {}
    port = server.getsockname()[1]
    listening = threading.Thread(target=lambda: found.update(_accept(server, TOKEN, {1, 2})))
    listening.start()
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"x" * HELLO)
        assert stranger.recv(1) == b""
    mine = _connect("127.0.0.1", port, TOKEN, 2)[0]
    with caplog.at_level(logging.WARNING):
        listening.join()
        assert not _connect("127.0.0.1", port, TOKEN, 1)  # nobody listens any more
    assert [*found] == [2]
    assert found[2].getpeername()[1] == mine.getsockname()[1]
    assert "process 1 has not reached process 0" in caplog.text
    assert "process 1 does not reach process 0 at 127.0.0.1" in caplog.text


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="this system has other means")
@pytest.mark.parametrize(("seconds", "part"), [(60, 15), (8.0, 2), (0.1, 1)])
def test_no_host_is_silent_for_longer(seconds: float, part: int) -> None:
    with socket.socket() as link:
        _let_systems_ask(link, seconds)
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        values = [link.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]
    assert values == [part, part, PROBES]
    assert sum(values[:2]) + values[1] * (PROBES - 1) <= max(seconds, PROBES + 1)
