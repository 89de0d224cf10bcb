"""Word diagnostics: suggest the nearest known name, and show a value in a few characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

LONGEST_SHOWN = 60
"""Characters of a value that a message repeats; a file may hold texts of megabytes."""

NAMES_COMPARED = 1000
"""A flow may hold 100,000 names, and a slip in every job."""

_OTHER_TOOLS_SAY: dict[str, tuple[str, ...]] = {
    word: known
    for words, known in {
        "needs after depends dependencies requires upstream": ("depends_on",),
        "if condition only_if preconditions": ("when",),
        "name": ("id",),
        "with": ("inputs",),
        "uses executor operator module plugin": ("type",),
        "loop foreach with_items": ("for_each",),
        "every interval": ("interval_seconds", "backoff_seconds"),
        "interval_sec delay sleep wait": ("backoff_seconds", "interval_seconds"),
        "limit attempts count tries max_retries retries": ("max_attempts", "retry"),
        "timeout timeout_minutes timeout_sec max_runtime": ("timeout_seconds",),
        "schedule": ("cron",),
        "schedules jobs tasks crons entries": ("items",),
        "flow file dag": ("flow_yaml",),
        "tz time_zone": ("timezone",),
        "job": ("flow_job",),
        "ignore_errors ignore_failure allow_failure continue_on_failure": ("continue_on_error",),
        "cmd run exec program": ("command", "external.process"),
        "script": ("command", "sql", "external.process"),
        "shell bash sh python command docker": ("external.process",),
        "dir workdir working_dir working_directory chdir": ("cwd",),
        "environment vars variables": ("env",),
        "query statement": ("sql",),
        "conn connection connection_id conn_id": ("resource",),
        "choices options allowed values": ("enum",),
        "concurrency parallelism max_workers": ("max_parallel", "max_parallel_jobs", "max_parallel_runs"),
        "max_active_runs": ("max_instances",),
        "catchup": ("catch_up",),
        "number decimal double": ("float",),
        "array strings": ("list",),
        "object dict mapping map": ("json",),
        "text": ("string",),
        "timestamp time": ("datetime",),
        "choice select": ("enum",),
        "filepath folder directory": ("path",),
        "boolean": ("bool",),
    }.items()
    for word in words.split()
}


def nearest(word: str, known: Sequence[str]) -> str:
    """Return the known word that was probably meant, or an empty text."""
    return _nearest(word[:LONGEST_SHOWN], tuple(known))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean 'NAME'?`, or an empty text when no known name is alike."""
    found = nearest(word, tuple(islice(known, NAMES_COMPARED)))
    return f"did you mean {found!r}?" if found else ""


@lru_cache(maxsize=1024)  # the same slip is often repeated in every job of a large flow
def _nearest(word: str, known: tuple[str, ...]) -> str:
    plain = {name.lower(): name for name in known}
    spelling = word.lower().replace("-", "_")
    for other in _OTHER_TOOLS_SAY.get(spelling, ()):
        if other in known:
            return other
    import difflib  # noqa: PLC0415 - only for errors

    found = difflib.get_close_matches(spelling, list(plain), n=1, cutoff=0.6)
    return plain[found[0]] if found else ""


def shown(value: Any) -> str:
    """Return a value as a message names it: `the text 'abc'`, `the number 5`, `a list`, `nothing` ..."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f"the number {shortened(str(value))}"


def quoted(text: str) -> str:
    """Return the text in quotes, shortened, with control characters made visible."""
    return repr(shortened(text))


def shortened(text: str, most: int = LONGEST_SHOWN) -> str:
    """Return the text, or its beginning when it has more than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
