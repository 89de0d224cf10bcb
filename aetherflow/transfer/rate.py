"""Limit how fast the files of a step move, and describe how fast they do."""

from __future__ import annotations

from aetherflow.clock import Clock
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.remote_files import BLOCK_BYTES

LEAST_BLOCK = 16 * 1024

REPORT_SECONDS = 0.1
"""How often the progress is described; displays show it less often."""


class RateLimit:
    """A limit of bytes per second for all files of a step together.

    Args:
        clock: waits.
        bytes_per_second: the limit; None: there is none.

    Attributes:
        block: the size of the pieces that the files should be read in.
    """

    def __init__(self, clock: Clock, bytes_per_second: int | None) -> None:
        self._clock = clock
        self._limit = bytes_per_second
        self._free_at = clock.monotonic()
        quarter = (bytes_per_second or 4 * BLOCK_BYTES) // 4
        self.block = min(BLOCK_BYTES, max(LEAST_BLOCK, quarter))

    async def take(self, count: int) -> None:
        """Wait until so many bytes may move."""
        if self._limit is None:
            return
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now) + count / self._limit
        if self._free_at > now:
            await self._clock.sleep(self._free_at - now)


class Meter:
    """Counts the files and bytes of a step, and reports them as its progress.

    Args:
        context: shows the progress.
        files: how many files there are.
        total: their bytes; None if a size is unknown.
    """

    def __init__(self, context: StepContext, files: int, total: int | None) -> None:
        self._context = context
        self._files = files
        self._total = total
        self._files_done = 0
        self._done = 0
        self._began = context.clock.monotonic()
        self._moved = 0
        self._report_at = self._began

    def moved(self, count: int) -> None:
        """Count bytes that moved."""
        self._moved += count
        self._add(count)

    def passed(self, count: int) -> None:
        """Count bytes that were there already."""
        self._add(count)

    def file_done(self, passed: int = 0) -> None:
        """Count a file that has arrived, or need not be sent: then its bytes are there already."""
        self._files_done += 1
        self._add(passed)

    def _add(self, count: int) -> None:
        self._done += count
        now = self._context.clock.monotonic()
        if now < self._report_at and self._files_done < self._files:
            return
        self._report_at = now + REPORT_SECONDS
        done = min(self._done, self._total) if self._total is not None else self._done
        if self._files_done < self._files and self._total is not None:
            done = min(done, max(0, self._total - 1))  # the last report is the one that is always shown
        self._context.progress(done, self._total, "bytes", self._note(now))

    def _note(self, now: float) -> str:
        seconds = now - self._began
        note = f"{self._files_done:,} of {self._files:,} files"
        if seconds <= 0 or not self._moved:
            return note
        rate = self._moved / seconds
        note += f", {rate / 1e6:,.1f} MB/s"
        if self._total is not None and self._done < self._total:
            note += f", {(self._total - self._done) / rate:,.0f} s left"
        return note


class FileMeter:
    """Counts the bytes of one file, and those of the step.

    Attributes:
        bytes: how many bytes of the file have moved in this attempt.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.bytes = 0

    def moved(self, count: int) -> None:
        """Count bytes that moved."""
        self.bytes += count
        self._meter.moved(count)
