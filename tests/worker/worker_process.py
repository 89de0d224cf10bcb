"""A worker of tests as a process of its own: messages of one attempt, as lines on its standard streams."""

from __future__ import annotations

import sys
import threading

from aetherflow.plugin_output import captured, real_stdout
from aetherflow.sdk.executor import Place
from aetherflow.worker.attempt import AttemptOnWorker


def main() -> None:
    """Run one attempt; when standard input ends, the attempt is ended."""
    out = real_stdout()

    def send(data: bytes) -> None:
        out.write(data.decode() + "\n")
        out.flush()

    with captured():
        attempt = AttemptOnWorker("k", Place("w1", "host1"), send)

        def receive() -> None:
            for line in sys.stdin:
                attempt.receive(line.encode())
            attempt.stop("the engine is gone")

        threading.Thread(target=receive, daemon=True).start()
        attempt.run()


if __name__ == "__main__":
    main()
