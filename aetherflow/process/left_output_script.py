"""Record the output of a program that is left running; as a script, in a process that outlives the engine.

It gets its work as JSON on standard input, and the reading ends of the pipes as open files. When it has all
it needs, it forks and its first process ends, so that nobody has to wait for the second. That one ends when
nothing holds the pipes open any more. Nothing but SIGKILL ends it earlier: a program must not die of a pipe
without a reader because somebody stopped the server.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
from pathlib import Path

READ_BYTES = 1 << 16


def main() -> None:
    """Read the work, then the pipes."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    work = json.load(sys.stdin)
    # `-I` ignores PYTHONPATH, which may be where the engine has its libraries from
    sys.path.extend([*work["path"], str(Path(__file__).parents[2])])
    from aetherflow.process.appended_file import AppendedFile  # noqa: PLC0415 - found only now
    from aetherflow.process.whole_lines import WholeLines  # noqa: PLC0415 - as above
    from aetherflow.redaction import Redactor  # noqa: PLC0415 - as above

    redactor = Redactor(work["secrets"])
    files = {path: AppendedFile(Path(path), access, limit) for path, access, limit in work["files"]}
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    with selectors.DefaultSelector() as pipes:
        for pipe, paths in work["pipes"]:
            pipes.register(
                pipe, selectors.EVENT_READ, (WholeLines(redactor), [files[path] for path in paths])
            )
        while pipes.get_map():
            for key, _ in pipes.select():
                lines, targets = key.data
                try:
                    data = os.read(key.fd, READ_BYTES)
                except BlockingIOError:  # `select` may report a pipe that has nothing to read
                    continue
                masked = redactor.bytes(lines.take(data, last=not data))
                for target in targets:
                    target.write(masked)
                if not data:
                    pipes.unregister(key.fd)


if __name__ == "__main__":
    main()
