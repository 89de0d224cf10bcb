"""Find passwords and tokens in the user part of URLs: `scheme://user:PASSWORD@host`, `https://TOKEN@host`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from aetherflow.redaction.found import Found, looks_like_a_token

_USERINFO = re.compile(
    r"://(?:(?P<user>[^/\s:@'\"]*):(?P<password>[^/\s'\"]+|(?!\d+[/?#])[^\s'\"@]{1,200})|(?P<name>[^/\s:@'\"?#]+))@"
)
_ORACLE = re.compile(r"jdbc:oracle:\w+:[^\s/@:]*/(?P<password>[^\s@\"]{1,1024}+)@")
_LONGEST_NAME = 16


def in_urls(text: str) -> Iterator[Found]:
    """Find the passwords of URLs; a name without a password is a token if it looks like one.

    In http(s), where a name alone means little, it is hidden if it has a digit or more than 16 characters. It
    is learned, and hidden in another scheme, only if it begins as the keys of a well-known service do, or has
    at least 16 characters with letters and digits.
    """
    if "://" in text:
        for match in _USERINFO.finditer(text):
            if match["password"] is not None:
                yield Found(*match.span("password"), "url")
            elif (is_token := looks_like_a_token(match["name"])) or _is_hidden(text, match):
                yield Found(*match.span("name"), "url", is_token)
    if "jdbc:oracle:" in text:
        for match in _ORACLE.finditer(text):
            yield Found(*match.span("password"))


def url_password(text: str) -> str | None:
    """Return the password in `scheme://user:password@host`, if the text holds such a URL."""
    return next((found["password"] for found in _USERINFO.finditer(text) if found["password"]), None)


def _is_hidden(text: str, match: re.Match[str]) -> bool:
    scheme, name = text[max(match.start() - 5, 0) : match.start()].lower(), match["name"]
    if not scheme.endswith(("http", "https")) or "." in name or "%40" in name:  # the name may be an address
        return False
    return len(name) > _LONGEST_NAME or any(map(str.isdecimal, name))
