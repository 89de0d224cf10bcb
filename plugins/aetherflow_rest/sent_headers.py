"""Check headers before they are sent; what is wrong is said without a value, which may be a secret. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def wrong_header(headers: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is wrong with headers, and what to do; twice an empty text if they can be sent."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            return f"{name!r} is no name of a header", "names have letters, digits and -"
        if not isinstance(value, str):
            continue  # a plugin's; httpx2 knows
        if "\r" in value or "\n" in value:
            hint = "remove it; a token from a file often has one at its end"
            return f"the header {name} has a line end", hint
        if not value.isascii():
            return f"the header {name} has characters beyond ASCII", "encode it as the server expects it"
        if not all(char.isprintable() or char == "\t" for char in value) or value != value.strip():
            return f"the header {name} has control characters, or blanks around its value", "remove them"
    return "", ""
