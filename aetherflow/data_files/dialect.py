"""How a csv or tsv file is spelled: separator, quotes, line ends, encoding. Imports only the errors."""

from __future__ import annotations

import csv
from typing import Literal

import msgspec

from aetherflow.errors import StepError

Quoting = Literal["minimal", "all", "none", "nonnumeric"]

QUOTING: dict[Quoting, Literal[0, 1, 2, 3]] = {
    "minimal": csv.QUOTE_MINIMAL,
    "all": csv.QUOTE_ALL,
    "none": csv.QUOTE_NONE,
    "nonnumeric": csv.QUOTE_NONNUMERIC,
}
"""The constants of the csv module."""


class Dialect(msgspec.Struct, frozen=True):
    """The spelling of a csv or tsv file; the defaults are those of csv (RFC 4180, but line feeds end lines).

    Attributes:
        encoding: a name that Python knows.
        delimiter: one character between two fields.
        quotechar: one character round a field that has a delimiter, a quote or a line end.
        escapechar: one character before a quote, where quotes are not doubled; None: no such character.
        doublequote: whether a quote within a field is written twice.
        quoting: which fields are quoted.
        linefeed: the end of a line.
        empty_is_quoted: whether the empty text is written as two quotes, so that it differs from NULL.
    """

    encoding: str = "utf-8"
    delimiter: str = ","
    quotechar: str = '"'
    escapechar: str | None = None
    doublequote: bool = True
    quoting: Quoting = "minimal"
    linefeed: str = "\n"
    empty_is_quoted: bool = True

    @property
    def is_plain(self) -> bool:
        """Whether only the delimiter differs from the defaults: what databases write themselves."""
        plain = Dialect(delimiter=self.delimiter, empty_is_quoted=self.empty_is_quoted)
        return msgspec.structs.replace(self, encoding=self.encoding.lower().replace("utf8", "utf-8")) == plain


CSV = Dialect()
TSV = Dialect(delimiter="\t", empty_is_quoted=False)


def check_dialect(dialect: Dialect) -> Dialect:
    """Return the dialect, if such a file can be written and read.

    Raises:
        StepError: an option is impossible, or two of them contradict each other (AF900).
    """
    special = [dialect.delimiter, dialect.quotechar, *([dialect.escapechar] if dialect.escapechar else [])]
    if len({*special, "\r", "\n"}) < len(special) + 2:
        raise _impossible("delimiter, quotechar and escapechar must differ", "give each its own character")
    try:
        "".encode(dialect.encoding)
        csv.reader(
            [],
            delimiter=dialect.delimiter,
            quotechar=dialect.quotechar,
            escapechar=dialect.escapechar,
            doublequote=dialect.doublequote,
            quoting=QUOTING[dialect.quoting],
        )
    except LookupError:
        raise _impossible(f"there is no encoding {dialect.encoding!r}", "write for example utf-8") from None
    except (TypeError, ValueError) as error:
        raise _impossible(str(error), "each of them is one character") from None
    return dialect


def _impossible(why: str, hint: str) -> StepError:
    return StepError(f"the file options cannot be used: {why}", hint=hint, code="AF900")
