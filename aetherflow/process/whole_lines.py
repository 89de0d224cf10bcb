"""Cut the output of a program into whole lines, so that no secret is cut.

A carriage return ends a line too: a program writes over it, as a progress bar does.

Imports little, as `left_output_script` uses it in a small process of its own.
"""

from __future__ import annotations

from aetherflow.redaction import Redactor

LONGEST_LINE = 1 << 16
"""A line longer than this (bytes) is passed on in pieces."""
LONGEST_SECRET = 1 << 13
"""A secret longer than this (bytes) may be cut, and so not masked, in a line that is passed on in pieces."""


class WholeLines:
    """Holds back the line of one stream that has not ended yet."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._unfinished = bytearray()

    def take(self, data: bytes, *, last: bool) -> bytes:
        """Return what can be passed on now; an unfinished line waits for its end, unless it is very long."""
        newline = data.rfind(b"\n")
        end = len(data) if last else max(newline, data.rfind(b"\r", newline + 1)) + 1
        ready = b""
        if end or last:
            ready = bytes(self._unfinished) + data[:end] if self._unfinished else data[:end]
            self._unfinished.clear()
        self._unfinished += data[end:]
        if len(self._unfinished) >= LONGEST_LINE:
            cut = self._harmless_cut(self._unfinished)
            ready += self._unfinished[:cut]
            del self._unfinished[:cut]
        return ready

    def _harmless_cut(self, line: bytearray) -> int:
        """Return a place near the end of a line where no secret is cut."""
        if self._redactor.is_empty:
            return len(line)
        mask = self._redactor.bytes
        start = len(line) - LONGEST_SECRET
        for cut in range(start, start - LONGEST_SECRET, -1):
            left, right = bytes(line[cut - LONGEST_SECRET : cut]), bytes(line[cut : cut + LONGEST_SECRET])
            if mask(left) + mask(right) == mask(left + right):
                return cut
        return start
