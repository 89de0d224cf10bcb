"""Report the background processes that the program of a successful step left, or leave them running."""

from __future__ import annotations

from functools import partial

from aetherflow.errors import StepError
from aetherflow.process import guardian
from aetherflow.process.output_recorder import OutputRecorder
from aetherflow.process.run_process import ProcessEnd
from aetherflow.process.spawn import SPAWN_FAILED
from aetherflow.sdk.context import StepContext

MOST_NAMES = 10
"""How many processes are named."""


def report_leftovers(context: StepContext, end: ProcessEnd, recorder: OutputRecorder) -> None:
    """Log which processes the program left, and what becomes of them."""
    if end.left:
        output = "; its output is recorded until then" if recorder.held else ""
        is_here = context.programs_of == context.run_id
        when = "when the run ends" if is_here else "now, as the step runs on a worker"
        context.log(
            f"the program has left in the background: {_named(end)}. This is ended {when}{output} "
            "(leave_running: true lets it outlive the run)",
            "warning",
        )
    elif recorder.held:
        context.log("an unknown process holds the output open; it is read until the run ends", "warning")
    if end.held_open and not recorder.held:
        context.log(
            "a background process holds the output open; what it writes from now on is lost", "warning"
        )


async def leave_running(
    context: StepContext, end: ProcessEnd, recorder: OutputRecorder, grace_seconds: float
) -> None:
    """Let the processes that the program left outlive the run, unless the attempt still fails.

    Raises:
        StepError: nothing can take their output.
    """
    if not end.left:
        context.log("leave_running is true, but the program has left no process", "warning")
        return
    context.undo_if_failed(partial(guardian.end_program, context.programs_of, end.mark, grace_seconds))
    if recorder.held is not None:
        from aetherflow.process.left_output import hand_over  # noqa: PLC0415 - few steps leave output behind

        ends = await recorder.held.release()
        try:
            await context.run_blocking(hand_over, ends, recorder.files, context.redactor)
        except OSError as error:
            raise StepError(
                f"the program cannot be left running: nothing can take its output: {error}",
                hint="redirect the output of what it leaves, or repair the installation",
                code=SPAWN_FAILED,
            ) from None
    guardian.leave(end.mark)
    output = f"; its output goes to {context.log_file}" if recorder.held else ""
    context.log(f"left running: {_named(end)}{output}")


def _named(end: ProcessEnd) -> str:
    named = [f"{one.process.pid} ({one.process.name})" for one in end.left[:MOST_NAMES]]
    more = len(end.left) - MOST_NAMES
    return ", ".join([*named, *([f"{more} more"] if more > 0 else [])])
