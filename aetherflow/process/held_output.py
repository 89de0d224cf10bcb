"""Continue to read what processes that a program left in the background write, after its step has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import anyio

from aetherflow.process.pipes import OutputPipe, Stream, Take, settle


class HeldOutput:
    """Output that background processes hold open: it is read until they end, or to the end of the run.

    Attributes:
        on_end: called when nothing more is read.
        on_problem: called with the error if the output cannot be taken any more.
    """

    def __init__(self, pipes: Mapping[Stream, OutputPipe], sinks: Mapping[Stream, Take]) -> None:
        self._pipes = pipes
        self._sinks = sinks
        self.on_end: Callable[[], None] = lambda: None
        self.on_problem: Callable[[Exception], None] = lambda _: None
        for pipe in pipes.values():
            pipe.is_kept = True
            pipe.resume()

    async def run(self) -> None:
        """Read until nothing holds the output open, or `stop` or `release` is called."""
        try:
            async with anyio.create_task_group() as tasks:
                for stream, pipe in self._pipes.items():
                    tasks.start_soon(self._pump, stream, pipe)
        finally:
            for pipe in self._pipes.values():
                pipe.close()
            self.on_end()

    async def stop(self) -> None:
        """Read what is there now, and no more; bounded by a deadline."""
        await settle(self._open_pipes())

    async def release(self) -> dict[Stream, int]:
        """Read no more; return the reading ends that are still open, which the caller closes."""
        pipes = self._open_pipes()
        ends = {stream: pipe.copy_read_end() for stream, pipe in self._pipes.items() if pipe in pipes}
        await settle(pipes, pauses=True, seconds=0)
        return ends

    def _open_pipes(self) -> list[OutputPipe]:
        return [pipe for pipe in self._pipes.values() if not pipe.done.is_set()]

    async def _pump(self, stream: Stream, pipe: OutputPipe) -> None:
        try:
            await pipe.pump(self._sinks[stream])
            if pipe.is_paused:
                await self._sinks[stream](b"", last=True)
        except Exception as error:  # noqa: BLE001 - the step has ended: its late output harms no run
            pipe.done.set()
            self.on_problem(error)
