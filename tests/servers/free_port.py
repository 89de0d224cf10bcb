"""A port of this machine that no program listens on: for a server of a test, or to be refused by."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PORTS = range(10_000, 30_000)
"""Below those that systems give to outgoing connections: none is taken before the server has it."""


_drawn: set[int] = set()


def free_port() -> int:
    """Return a port that is free on 127.0.0.1 now, and that no test draws until its server has it.

    Each test worker has ports of its own, and draws each of them once.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = [port for port in PORTS[worker::workers] if port not in _drawn]
    draw = random.SystemRandom()  # two sessions of tests that have one seed must not draw the same ports
    while True:
        port = draw.choice(ports)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            _drawn.add(port)
            return port


@contextmanager
def silent_port() -> Iterator[int]:
    """Hold a port on 127.0.0.1 in a block: it refuses connections, and nobody else can listen there."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])
