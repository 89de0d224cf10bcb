"""Write csv and tsv files: RFC 4180 or another dialect, NULL and the empty text apart."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from typing import Any

from aetherflow.data_files.arrow_python import python_values
from aetherflow.data_files.arrow_rows import is_worth_it, text_batch
from aetherflow.data_files.arrow_text import batch_text, can_be_vectorized
from aetherflow.data_files.columns import Row
from aetherflow.data_files.dialect import QUOTING, Dialect
from aetherflow.data_files.output import Output
from aetherflow.data_files.value_text import field_of
from aetherflow.errors import StepError

_PLAIN = frozenset({str, int, float, type(None)})
"""What the csv module writes as it must be."""


class DelimitedWriter:
    """Writes rows of values.

    Attributes:
        dialect: how the file is spelled.
        output: where the text goes.
    """

    def __init__(self, output: Output, names: Sequence[str], dialect: Dialect, *, has_header: bool) -> None:
        """Write the header, unless the file has none.

        Raises:
            StepError: a name cannot be written in this dialect or encoding (AF905).
        """
        self.output = output
        self.dialect = dialect
        self._names = names
        # Readers pass over an empty line: so the only field of a row is quoted if it is empty, and NULL too,
        # where that looks the same as the empty text.
        quotes = dialect.quoting != "none"
        self._quotes_empty = quotes and (dialect.empty_is_quoted or len(names) == 1)
        self._quotes_null = quotes and not dialect.empty_is_quoted and len(names) == 1
        self._encode = codecs.getincrementalencoder(dialect.encoding)().encode
        self._is_fast = can_be_vectorized(dialect)
        self._rows = self._prepared = 0
        if has_header:
            self._put([names])

    def prepared(self, batch: Sequence[Row]) -> Any:
        """Return a batch as `write` takes it: a record batch, where that is faster.

        This needs Python's lock most of the time, and `write` of a record batch hardly ever.
        """
        self._prepared += len(batch)
        if self._is_fast and is_worth_it(self._prepared):
            return text_batch(batch, self._names)
        return batch

    def write(self, batch: Any) -> None:
        """Write a batch that `prepared` returned, or a record batch.

        Raises:
            StepError: a value cannot be written in this dialect or encoding (AF905).
        """
        if isinstance(batch, Sequence):
            self._put_values(batch)
        elif self._is_fast:
            self.output.write(batch_text(batch, self.dialect))
        else:
            self._put_values(list(zip(*(python_values(column) for column in batch.columns), strict=True)))
        self._rows += len(batch)

    def _put_values(self, batch: Sequence[Row]) -> None:
        types: set[type] = set()
        for row in batch:
            types.update(map(type, row))
        self._put(batch if types <= _PLAIN else [[field_of(value) for value in row] for row in batch])

    def _put(self, batch: Sequence[Sequence[Any]]) -> None:
        try:
            text = self._text(batch)
        except csv.Error as error:
            raise self._unwritable(batch, str(error)) from None
        try:
            self.output.write(self._encode(text))
        except UnicodeEncodeError as error:
            shown = f"the character {error.object[error.start]!r}"
            raise self._unwritable(batch, f"{shown} is not in {self.dialect.encoding}") from None

    def _text(self, batch: Sequence[Sequence[Any]]) -> str:
        if self._is_special(batch):
            return "".join(map(self._special_row, batch))
        if self.dialect.linefeed == "\n":
            text = self._written(batch, "\n")
            # Where lines end with a line feed, the module of Python 3.11 leaves carriage returns unquoted.
            if "\r" not in text:
                return text
        return "".join(self._row(row) for row in batch)

    def _is_special(self, batch: Sequence[Sequence[Any]]) -> bool:
        """Whether a row has what the csv module cannot write: NULL where empty texts are quoted."""
        if self.dialect.quoting != "minimal" or len(self._names) == 1:
            return True
        return self._quotes_empty and any("" in row for row in batch)

    def _special_row(self, row: Sequence[Any]) -> str:
        if None not in row and "" not in row:
            return self._row(row)
        empty = self.dialect.quotechar * 2 if self._quotes_empty else ""
        end = len(self.dialect.linefeed)
        null = self.dialect.quotechar * 2 if self._quotes_null else ""
        fields = (null if f is None else empty if f == "" else self._row([f])[:-end] for f in row)
        return self.dialect.delimiter.join(fields) + self.dialect.linefeed

    def _row(self, row: Sequence[Any]) -> str:
        return self._written([row], "\r\n")[:-2] + self.dialect.linefeed

    def _written(self, batch: Sequence[Sequence[Any]], linefeed: str) -> str:
        text = io.StringIO(newline="")
        csv.writer(
            text,
            delimiter=self.dialect.delimiter,
            quotechar=self.dialect.quotechar,
            escapechar=self.dialect.escapechar,
            doublequote=self.dialect.doublequote,
            quoting=QUOTING[self.dialect.quoting],
            lineterminator=linefeed,
        ).writerows(batch)
        return text.getvalue()

    def _unwritable(self, batch: Sequence[Sequence[Any]], why: str) -> StepError:
        """Return the error for the first row that cannot be written."""
        for number, row in enumerate(batch, self._rows + 1):
            for name, field in zip(self._names, row, strict=True):
                try:
                    self._special_row([field]).encode(self.dialect.encoding)
                except (csv.Error, UnicodeEncodeError):
                    place = f"row {number:,}, column {name!r}"
                    return _cannot(place, why)
        return _cannot("a row", why)


def _cannot(place: str, why: str) -> StepError:
    return StepError(
        f"{place}: the value cannot be written: {why}",
        hint="name another encoding, or an escapechar, in the file options",
        code="AF905",
    )
