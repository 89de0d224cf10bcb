"""huey: put jobs into a queue in SQLite and let a consumer with threads do them, in one process.

    python huey_jobs.py JOBS (off|default) WORKERS [PROGRAM]

`off` is `fsync=False`: a power loss may damage what is stored. `default` leaves SQLite's own setting, which
is FULL: three commits a job, each made durable (the job is stored, taken, its result stored). A job adds
one to a number and keeps the result; with PROGRAM it starts that program and waits for it. No line is
logged, nothing is retried. For jobs this small one worker, huey's default, is the fastest: more of them
wait for each other.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from huey import SqliteHuey
from huey.consumer import Consumer
from huey.signals import SIGNAL_COMPLETE, SIGNAL_ERROR

JOBS, SYNC, WORKERS = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
PROGRAM = sys.argv[4:]

queue = SqliteHuey(filename="huey.db", fsync=False if SYNC == "off" else None)
left = threading.Semaphore(0)


def work(number: int) -> int:
    """Do what a job does."""
    if PROGRAM:
        return subprocess.run(PROGRAM, check=True).returncode
    return number + 1


def main() -> None:
    """Define the jobs, then do them all."""
    task = queue.task()(work)
    queue.signal(SIGNAL_COMPLETE)(lambda *_: left.release())
    queue.signal(SIGNAL_ERROR)(lambda *_: os._exit(1))  # else nobody would see that a job failed
    for number in range(JOBS):
        task(number)
    consumer = Consumer(queue, workers=WORKERS, periodic=False, check_worker_health=False)
    consumer.start()
    for _ in range(JOBS):
        left.acquire()
    consumer.stop()  # its threads are daemons: nothing waits for their next look into the queue


if __name__ == "__main__":
    main()
