"""Give the output of a program that is left running to a process that outlives the engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from aetherflow.process import left_output_script
from aetherflow.process.appended_file import AppendedFile
from aetherflow.process.pipes import Stream
from aetherflow.redaction import Redactor

START_SECONDS = 30.0


def hand_over(
    ends: Mapping[Stream, int], files: Mapping[Stream, Sequence[AppendedFile]], redactor: Redactor
) -> None:
    """Start the process that reads the pipes from now on, and close our copies; it blocks for a moment.

    Args:
        ends: the reading ends, by stream.
        files: where to append the output, by stream.
        redactor: the secrets that are known now are masked.

    Raises:
        OSError: the process cannot be started.
    """
    used = {str(file.path): file for stream in ends for file in files[stream]}
    work = {
        "path": [place for place in sys.path if os.path.isabs(place)],  # noqa: PTH117 - texts, as they are
        "secrets": redactor.secrets,
        "files": [(path, file.access, file.limit) for path, file in used.items()],
        "pipes": [(end, [str(file.path) for file in files[stream]]) for stream, end in ends.items()],
    }
    try:
        done = subprocess.run(  # noqa: S603 - our own script, by our own interpreter
            [sys.executable, "-I", left_output_script.__file__, *used],  # the paths are for readers of `ps`
            input=json.dumps(work).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env={},
            start_new_session=True,
            pass_fds=tuple(ends.values()),
            timeout=START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"the process that records it did not start within {START_SECONDS:g} s") from None
    finally:
        for end in ends.values():
            os.close(end)
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise OSError(f"the process that records it did not start: {last}")
