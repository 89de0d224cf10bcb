"""Addresses that are secret as a whole: who knows the address of a chat's webhook can write to it."""

from __future__ import annotations

import re
from typing import Any

from aetherflow.redaction.redactor import MASK, Redactor

_URL = re.compile(r"""(\burl["']?\s*:\s*["']?https?://[^/\s]+/)[^\s"']+""")

LEAST_SECRET_PATH = 12
"""From how many characters on the path of an address is masked without its host: `hook` is none."""


def add_address(redactor: Redactor, address: str) -> None:
    """Register an address, and what follows its host, which a message of an error may have alone."""
    redactor.add(address)
    _, _, behind = address.partition("://")
    _, _, path = behind.partition("/")
    for part in (path, *path.split("?", 1)):
        if len(part) >= LEAST_SECRET_PATH:
            redactor.add(part)


def redactor_of_messages(content: Any) -> Redactor:
    """Return what masks lines of a flow or scheduler file: it knows the secrets in its `notify`."""
    redactor = Redactor()
    add_messages(redactor, content)
    return redactor


def add_messages(redactor: Redactor, content: Any) -> None:
    """Register the secrets in `notify` of what a flow or scheduler file holds.

    The content may be of any shape: a file is shown also if its keys are wrong.
    """
    for holder in (content, *_below(content, "flow"), *_below(content, "items")):
        for entry in _below(holder, "notify"):
            redactor.add_named({key: value for key, value in entry.items() if key != "url"})
            for text in entry.values():
                if isinstance(text, str) and "://" in text:  # also under a key that is spelled wrong
                    add_address(redactor, text)


def without_addresses(line: str) -> str:
    """Return a line of a file that cannot be parsed, with what follows the host of a `url` masked."""
    return _URL.sub(rf"\1{MASK}", line)


def _below(holder: Any, key: str) -> list[dict[str, Any]]:
    """Return the mappings under a key of a mapping, where one or a list of them is expected."""
    found = holder.get(key) if isinstance(holder, dict) else None
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]
