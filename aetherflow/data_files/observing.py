"""Find the kinds of columns that nobody typed, from all their values, while the rows pass by. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from aetherflow.data_files.columns import Row, Rows
from aetherflow.data_files.widening import kind_of_values, widened


class Observed:
    """Passes rows on and learns the kinds of their columns.

    Attributes:
        columns: the columns, with the kinds that the values so far need.
    """

    def __init__(self, rows: Rows) -> None:
        self.columns = list(rows.columns)
        self.rows = Rows(rows.columns, self._passing(rows.batches))

    def _passing(self, batches: Iterator[Sequence[Row]]) -> Iterator[Sequence[Row]]:
        untyped = [number for number, column in enumerate(self.columns) if column.kind is None]
        for batch in batches:
            for number in untyped:
                kind = kind_of_values([row[number] for row in batch])
                if kind is not None:
                    old = self.columns[number]
                    found = kind if old.kind is None else widened(old, kind)
                    self.columns[number] = msgspec.structs.replace(found, name=old.name)
            yield batch
