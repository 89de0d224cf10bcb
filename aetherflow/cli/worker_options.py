"""Read the options of `aetherflow worker`, and refuse what no worker could be started with."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from aetherflow.cli.options import split_param
from aetherflow.errors import UsageError
from aetherflow.spec.duration import parse_duration
from aetherflow.spec.size import parse_size

ADDRESS_VARIABLE = "DASK_SCHEDULER_ADDRESS"
"""Where Dask itself looks for the address, as in the containers of its operator for Kubernetes."""

LEAST_MEMORY = 2**20
"""A worker with less would never take a step; who writes 4 means 4GiB."""

MOST_PORT = 65_535
_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^\s:/@\[\]]+):(?P<port>[0-9]{1,5})", re.ASCII)


def scheduler_address(address: str, scheduler_file: str) -> str:
    """Return the address of the scheduler; empty if a file names it.

    Raises:
        UsageError: there is none, there are two, or it is no address.
    """
    if address and scheduler_file:
        raise UsageError("ADDRESS and --scheduler-file both name the scheduler", hint="leave one of them out")
    if scheduler_file:
        return ""
    found = address or os.environ.get(ADDRESS_VARIABLE, "")
    if not found:
        raise UsageError(
            "name the scheduler: aetherflow worker tls://HOST:8786",
            hint="a scheduler is started by: dask scheduler; see aetherflow help executors",
        )
    protocol, separator, place = found.partition("://")
    if not separator:
        protocol, place = "tcp", found
    if protocol not in ("tcp", "tls") or not _is_place(place.rstrip("/"), least_port=1):
        raise UsageError(f"{found}: write the address of the scheduler as tcp://HOST:PORT or tls://HOST:PORT")
    return f"{protocol}://{place.rstrip('/')}"


def own_address(option: str, text: str, scheduler: str) -> str:
    """Return an address of the worker itself, with the protocol of the scheduler; empty as it is.

    Raises:
        UsageError: it is no address, or another protocol than that of the scheduler.
    """
    if not text:
        return ""
    wanted = scheduler.partition("://")[0]
    protocol, separator, place = text.partition("://")
    if not separator:
        protocol, place = wanted or "tcp", text
    if protocol not in ("tcp", "tls") or not _is_place(place, least_port=0):
        example = f"{wanted or 'tcp'}://10.0.0.7:9000"
        raise UsageError(f"{option} {text}: write it with host and port, as {option} {example}")
    if wanted and protocol != wanted:
        raise UsageError(
            f"{option} {text}: the scheduler at {scheduler} is reached by {wanted}, and so are its workers",
            hint=f"write {option} {wanted}://{place}",
        )
    return f"{protocol}://{place}"


def _is_place(text: str, *, least_port: int) -> bool:
    found = _PLACE.fullmatch(text)
    return found is not None and least_port <= int(found["port"]) <= MOST_PORT


def distinct_labels(texts: Sequence[str]) -> tuple[str, ...]:
    """Return labels, each once.

    Raises:
        UsageError: one is empty, or looks like several.
    """
    for text in texts:
        if "," in text:
            each = " ".join(f"--label {one.strip()}" for one in text.split(",") if one.strip())
            raise UsageError(f"--label {text}: it is one label, without a comma", hint=f"write {each}")
        if not text or text != text.strip():
            raise UsageError(f"--label {text!r}: write the name that runs_on has, as --label big")
    return tuple(dict.fromkeys(texts))


def amounts(texts: Sequence[str]) -> dict[str, float]:
    """Return the resources that options name.

    Raises:
        UsageError: one is not `NAME=N` with a number above zero, or is named twice.
    """
    found: dict[str, float] = {}
    for text in texts:
        try:
            resource, number = split_param(text)
            amount = float(number)
        except (UsageError, ValueError):
            several = "; for several, repeat the option" if "," in text else ""
            raise UsageError(f"--resource {text}: write it as NAME=N, such as SFTP=2{several}") from None
        if not 0 < amount < float("inf"):
            raise UsageError(f"--resource {text}: the number must be above zero")
        if resource in found:
            raise UsageError(f"--resource {text}: {resource} was given before, as {found[resource]:g}")
        found[resource] = amount
    return found


def memory_size(text: str) -> str:
    """Return the bytes of `--memory-limit` as a text; empty as it is.

    Raises:
        UsageError: it is no size, or so small that a worker would take nothing.
    """
    if not text:
        return ""
    try:
        size = parse_size(text)
    except ValueError as error:
        raise UsageError(f"--memory-limit: {error}") from None
    if size < LEAST_MEMORY:
        raise UsageError(
            f"--memory-limit {text}: a worker would take no step with so little",
            hint="write a unit, as 4GiB",
        )
    return str(size)


def seconds(option: str, text: str, at_least: float = 0.0) -> float:
    """Return the seconds of an option.

    Raises:
        UsageError: it is no duration above zero, or less than the least.
    """
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if found <= 0:
        raise UsageError(f"{option} {text}: it must be above zero")
    if found < at_least:
        raise UsageError(f"{option} {text}: it must be at least {at_least:g} s")
    return found
