"""What a step reads and writes outside the run: datasets and statements, named as OpenLineage names them.

The names follow https://openlineage.io/docs/spec/naming/: a namespace says where, a name says what. Imports
nothing of aetherflow.
"""

from __future__ import annotations

from pathlib import Path

import msgspec


class Dataset(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A file, a folder or a table that a step reads or writes.

    Attributes:
        namespace: where it is: `file`, `sftp://host:22`, `postgres://host:5432`.
        name: what it is there: `/data/day.csv`, `database.schema.table`.
        rows: how many rows were read or written; None: unknown.
        bytes: how many bytes; None: unknown.
    """

    namespace: str
    name: str
    rows: int | None = None
    bytes: int | None = None

    @classmethod
    def file(cls, path: Path | str, rows: int | None = None, size: int | None = None) -> Dataset:
        """Return a file or folder of this machine; its path is absolute."""
        return cls("file", str(path), rows, size)


class Statement(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A statement, or several, that a step runs on a database.

    Attributes:
        sql: the text, without the values of its parameters.
        namespace: where the database is: `postgres://host:5432`.
        database: what the names of its tables begin with; empty: nothing.
        schema: of tables that are named without one; empty: none.
        dialect: what SQLAlchemy calls the database.
    """

    sql: str
    namespace: str = ""
    database: str = ""
    schema: str = ""
    dialect: str = ""

    def table(self, name: str) -> Dataset:
        """Return a table of that database, as `name` or `schema.name`."""
        full = f"{self.schema}.{name}" if self.schema and "." not in name else name
        return Dataset(self.namespace, f"{self.database}.{full}" if self.database else full)
