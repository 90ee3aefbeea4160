"""Detects that a host of the run has become unreachable."""

import logging
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from detectron2.utils import comm

logger = logging.getLogger(__name__)

PROBES = 3
"""Number of unanswered keep-alive probes after which a host counts as lost."""
PATIENCE = 10.0
"""Seconds to establish a connection."""
FAREWELL = 1.0
"""Seconds that the other hosts are given to read why this one ends."""
HELLO = 40  # bytes: a token and a rank


def watch_hosts(
    address: str, *, local_size: int, seconds: float, end: Callable[[str], None]
) -> None:
    """Connects the first process of every host to process 0, and monitors the connections. Nothing
    is sent: the operating systems exchange keep-alive probes, and answer them even if a process is
    busy, stopped or swapped out. All processes must call this.

    A closed connection is ignored here: the training's own communication reports lost processes.

    Args:
        address: address of the host of process 0.
        local_size: number of processes per host.
        seconds: maximum time without a sign of life from a host.
        end: called in a thread with a sentence that names the lost host. It must end this process,
            because nothing else interrupts a collective operation.
    """
    rank = comm.get_rank()
    server = _serve() if rank == 0 else None
    port = server.getsockname()[1] if server else 0
    told = comm.all_gather((socket.gethostname(), port, secrets.token_hex(16)))
    token, names = told[0][2], {first: told[first][0] for first in range(len(told))[::local_size]}
    if rank not in names:
        return
    if server:
        links = _accept(server, token, set(names) - {0})
    else:
        links = _connect(address, told[0][1], token, rank)
    what = {}
    for first, link in links.items():
        link.settimeout(None)
        _let_systems_ask(link, seconds)
        where = link.getpeername()[0].removeprefix("::ffff:")
        what[link] = f"host {names[first]} ({where}) with {_processes(first, local_size)}"
    threading.Thread(target=_watch, args=(what, seconds, end), daemon=True).start()


def _processes(first: int, count: int) -> str:
    return f"process {first}" if count == 1 else f"processes {first} to {first + count - 1}"


def _serve() -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", 0))


def _accept(server: socket.socket, token: str, ranks: set[int]) -> dict[int, socket.socket]:
    """Accepts connections from processes `ranks` until all have connected or the time is over."""
    links: dict[int, socket.socket] = {}
    last = time.monotonic() + PATIENCE
    with server:
        while len(links) < len(ranks) and (left := last - time.monotonic()) > 0:
            server.settimeout(left)
            with suppress(OSError):
                link, _ = server.accept()
                link.settimeout(left)
                said = link.recv(HELLO, socket.MSG_WAITALL).decode(errors="replace")
                if said[:32] == token and int(said[32:]) in ranks:
                    links[int(said[32:])] = link
                else:  # not from our run
                    link.close()
    for rank in sorted(ranks - set(links)):
        _warn(f"process {rank} has not reached process 0")
    return links


def _connect(address: str, port: int, token: str, rank: int) -> dict[int, socket.socket]:
    try:
        link = socket.create_connection((address, port), timeout=PATIENCE)
        link.sendall(f"{token}{rank:08d}".encode())
    except OSError as error:
        _warn(f"process {rank} does not reach process 0 at {address}:{port} ({error})")
        return {}
    return {0: link}


def _warn(what: str) -> None:
    logger.warning(
        "%s: if their connection breaks, this is noticed only after train.timeout_minutes", what
    )


def _let_systems_ask(link: socket.socket, seconds: float) -> None:
    """Enables keep-alive probes: the first one after a fraction of `seconds` without data, further
    ones at the same interval. Systems that lack these socket options keep their own intervals.
    """
    part = max(1, int(seconds / (PROBES + 1)))
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    times = {"TCP_KEEPIDLE": part, "TCP_KEEPINTVL": part, "TCP_KEEPCNT": PROBES}
    for name, value in times.items():
        if hasattr(socket, name):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _watch(links: Mapping[socket.socket, str], seconds: float, end: Callable[[str], None]) -> None:
    with selectors.DefaultSelector() as selector:
        for link in links:
            selector.register(link, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                lost = key.fileobj
                assert isinstance(lost, socket.socket)
                selector.unregister(lost)
                if reason := _reason(lost, links[lost], seconds):
                    _tell(reason, [other for other in links if other is not lost])
                    end(reason)
                    return


def _reason(link: socket.socket, what: str, seconds: float) -> str:
    """Why this process must end; empty if the connection was only closed."""
    try:
        return link.recv(4096).decode(errors="replace")
    except ConnectionResetError:
        return ""
    except OSError:  # the system has given up probing
        return (
            f"nothing was heard of {what} for {seconds:g} seconds (train.host_timeout_seconds): "
            "that host, or the link to it, is down; --resume goes on from the last checkpoint"
        )


def _tell(reason: str, links: list[socket.socket]) -> None:
    for link in links:
        with suppress(OSError):
            link.sendall(reason.encode())
    if links:
        time.sleep(FAREWELL)
