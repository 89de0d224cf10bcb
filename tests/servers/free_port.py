"""A port of this machine that no program listens on, for a server of a test."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a port that is free on 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
