"""A port of this machine that no program listens on, for a server of a test."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

PORTS = range(10_000, 30_000)
"""Below those that systems give to outgoing connections: none is taken before the server has it."""


def free_port() -> int:
    """Return a port that is free on 127.0.0.1 now."""
    draw = random.SystemRandom()  # test workers that have one seed must not draw the same ports
    while True:
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", draw.choice(PORTS)))
            return int(probe.getsockname()[1])
