"""luigi: tasks with its scheduler in the same process; it stores nothing itself.

python luigi_jobs.py JOBS
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import luigi

JOBS = int(sys.argv[1])


class Job(luigi.Task):  # type: ignore[misc]  # luigi has no types
    """Adds one to a number. A task usually makes a file, and is done if that is there; this one need not."""

    number: Any = luigi.IntParameter()
    value: int | None = None

    def run(self) -> None:
        """Do what a job does."""
        self.value = self.number + 1

    def complete(self) -> bool:
        """Return whether it has been done."""
        return self.value is not None


def main() -> None:
    """Define the jobs, then do them all."""
    logging.disable(logging.INFO)
    jobs = [Job(number=number) for number in range(JOBS)]
    if not luigi.build(jobs, local_scheduler=True, no_lock=True, log_level="WARNING"):
        sys.exit("luigi did not succeed")


if __name__ == "__main__":
    main()
