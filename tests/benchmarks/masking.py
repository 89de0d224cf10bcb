"""Masking 4 MB with no, one, 50 and 1,000 secrets: one pass whatever their number."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import Row, Timed, interleaved

from aetherflow.redaction import Redactor

SIZE = 4_000_000
LINE = "2026-11-28T19:34:25 INFO  worker{} loaded {} rows of table sales_{} in {} s from /data/in/{}.csv\n"
LETTERS = string.ascii_letters + string.digits + "/+-_!"


def masking(_: Path, rounds: int) -> Iterator[Row]:
    """Many secrets against one, and none against reading the text once."""
    text = ordinary_lines()
    data = text.encode()
    none, one = redactor(0), redactor(1)
    yield Row(
        "masking 4 MB of text, no secret", "text.lower() 40 times", *compared(
            lambda: none.text(text), lambda: [text.lower() for _ in range(40)], rounds
        ), "<= 1.5x",
    )  # fmt: skip
    for many in (redactor(50), redactor(1000)):
        count = f"{len(many._whole):,} secrets"
        medians = compared(lambda many=many: many.text(text), lambda: one.text(text), rounds)  # type: ignore[misc]  # bound now
        yield Row(f"masking 4 MB of text, {count}", "one secret", *medians, "<= 1.5x")
        medians = compared(lambda many=many: many.bytes(data), lambda: one.bytes(data), rounds)  # type: ignore[misc]  # bound now
        yield Row(f"masking 4 MB of bytes, {count}", "one secret", *medians, "<= 1.5x")


def ordinary_lines() -> str:
    """Return the lines of a log, the same every time."""
    chance = random.Random(1)  # noqa: S311 - repeatable, keeps no secret
    lines: list[str] = []
    size = 0
    while size < SIZE:
        lines.append(LINE.format(*(chance.randrange(10**6) for _ in range(5))))
        size += len(lines[-1])
    return "".join(lines)


def redactor(secrets: int) -> Redactor:
    """Return a redactor that knows so many secrets with all their spellings, ready to search."""
    chance = random.Random(2)  # noqa: S311 - repeatable, keeps no secret
    made = Redactor("".join(chance.choices(LETTERS, k=chance.randrange(8, 40))) for _ in range(secrets))
    made.text("x")
    return made


def compared(ours: Callable[[], object], floor: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return how long both take, in seconds."""
    return interleaved(timed(ours), timed(floor), rounds)


def timed(call: Callable[[], object]) -> Timed:
    """Return a function that makes the call and says how long it took."""

    def run() -> float:
        started = time.perf_counter()
        call()
        return time.perf_counter() - started

    return run
