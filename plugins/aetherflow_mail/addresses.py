"""Read mail addresses as flows write them: `a@b.org`, `Ann <a@b.org>`, several with commas, a list. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

import msgspec

from aetherflow import FinalError

_PIECE = re.compile(r'(?:"(?:[^"\\]|\\.)*"|<[^<>]*>|[^,;"<])+|["<]')
_NAMED = re.compile(r"(?P<name>.*?)\s*<\s*(?P<address>[^<>]*?)\s*>", re.DOTALL)
_LOCAL = re.compile(r"[^\s()<>@,;:\\\"\[\]]+")
_DOMAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Za-z:.]+\]")
MOST_LOCAL, MOST_DOMAIN = 64, 255
"""The longest parts before and after the @, in bytes (RFC 5321)."""


class MailAddress(msgspec.Struct, frozen=True):
    """One mail address.

    Attributes:
        name: the name of the person; may be empty.
        local: what is before the @.
        domain: what is after it, in ASCII (IDNA) and in small letters, which makes no difference.
    """

    name: str
    local: str
    domain: str

    @property
    def spec(self) -> str:
        """The address alone, as servers take it."""
        return f"{self.local}@{self.domain}"


def read_addresses(field: str, value: str | Sequence[str] | None) -> list[MailAddress]:
    """Return the addresses of a text or list; blank ones are left out.

    Raises:
        FinalError: one is no address, or has a line end or another control character (AF370).
    """
    return [_read(field, piece) for piece in written_addresses(field, value)]


def written_addresses(field: str, value: str | Sequence[str] | None) -> list[str]:
    """Return the texts of the addresses one by one, as they are written.

    Raises:
        FinalError: as `read_addresses`, but for what is no address.
    """
    texts = [] if value is None else [value] if isinstance(value, str) else value
    return [piece for text in texts for piece in _pieces(field, text)]


def one_line(field: str, text: str) -> str:
    """Return a text for a header, without the line end that a YAML block has.

    Raises:
        FinalError: there is a line end or another control character inside, which could add headers (AF370).
    """
    text = text.strip()
    for char in text:
        if unicodedata.category(char) in {"Cc", "Zl", "Zp"} and char != "\t":
            what = "a line end" if char in "\r\n\u2028\u2029\x85" else f"the character U+{ord(char):04X}"
            raise FinalError(
                f"{field} of the mail has {what} inside: {text[:80]!r}",
                hint="remove it: in a header it would begin another header",
                code="AF370",
            )
    return text.replace("\t", " ")


def _pieces(field: str, text: str) -> Iterator[str]:
    """Yield the addresses of a text, separated by commas or semicolons outside quotes and brackets."""
    for piece in _PIECE.findall(one_line(field, text)):
        if piece.strip():
            yield piece.strip()


def _read(field: str, text: str) -> MailAddress:
    named = _NAMED.fullmatch(text)
    name, address = (named["name"], named["address"]) if named else ("", text)
    if name.startswith('"') and name.endswith('"') and len(name) > 1:
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    local, at, domain = address.rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or ".." in f".{local}." or _too_long(local, MOST_LOCAL):
        raise _no_address(field, text)
    return MailAddress(name, local, _ascii_domain(field, text, domain))


def _ascii_domain(field: str, text: str, domain: str) -> str:
    domain = domain.removesuffix(".")
    if not domain.isascii():
        import idna  # noqa: PLC0415 - large tables, for such domains only

        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError as error:
            raise _no_address(field, text) from error
    if not _DOMAIN.fullmatch(domain) or ".." in domain or _too_long(domain, MOST_DOMAIN):
        raise _no_address(field, text)
    return domain.lower()


def _too_long(text: str, most: int) -> bool:
    return len(text.encode("utf-8", "surrogatepass")) > most


def _no_address(field: str, text: str) -> FinalError:
    return FinalError(
        f"{field} of the mail has {text!r}, which is no mail address",
        hint='write name@domain or "Name" <name@domain>; a name with a comma needs the quotes',
        code="AF370",
    )
