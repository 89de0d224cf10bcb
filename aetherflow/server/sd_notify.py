"""Notify systemd over its socket: ready, reloading, stopping, still alive (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from aetherflow.clock import Clock


class Notifier:
    """Sends datagrams to `NOTIFY_SOCKET`; without one, or when nobody listens there, it does nothing."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._address = env.get("NOTIFY_SOCKET", "")
        pid = env.get("WATCHDOG_PID", "")
        is_ours = not pid or pid == str(os.getpid())
        microseconds = env.get("WATCHDOG_USEC", "") if is_ours else ""
        self.watchdog_seconds = int(microseconds) / 1e6 if microseconds.isdigit() else 0.0

    def send(self, *lines: str) -> None:
        """Send a message; it is so short that the socket never blocks."""
        if not self._address.startswith(("/", "@")):
            return
        address = f"\0{self._address[1:]}" if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto("\n".join(lines).encode(), address)
            except OSError:
                return  # nobody listens, which must not end the server

    def reloading(self) -> None:
        """Say that the files are being read again; `send("READY=1")` ends it."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    async def watch(self, clock: Clock) -> None:
        """Notify, at half the interval that systemd allows, that the event loop is alive."""
        while self.watchdog_seconds > 0:
            self.send("WATCHDOG=1")
            await clock.sleep(self.watchdog_seconds / 2)
