"""Make OpenLineage datasets of what a step noted that it reads and writes, and of the tables in its SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    input_statistics_input_dataset,
    output_statistics_output_dataset,
    sql_job,
)
from openlineage_sql import DbTableMeta, SqlMeta, parse

Record = Mapping[str, Any]

_DIALECTS = {"postgresql": "postgres", "mariadb": "mysql", "exasol": "generic"}
"""What the parser calls a dialect, where SQLAlchemy has another word."""


def inputs_of(record: Record) -> list[InputDataset]:
    """Return the datasets that a step read: those that it noted, and the tables of its statements."""
    facet = input_statistics_input_dataset.InputStatisticsInputDatasetFacet
    found = _found(record, "reads", lambda meta: meta.in_tables)
    return [
        InputDataset(*key, inputFacets={"inputStatistics": facet(**numbers)} if numbers else {})
        for key, numbers in found.items()
    ]


def outputs_of(record: Record) -> list[OutputDataset]:
    """Return the datasets that a step wrote, likewise."""
    facet = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
    found = _found(record, "writes", lambda meta: meta.out_tables)
    return [
        OutputDataset(*key, outputFacets={"outputStatistics": facet(**numbers)} if numbers else {})
        for key, numbers in found.items()
    ]


def sql_of(record: Record) -> sql_job.SQLJobFacet | None:
    """Return the statements of a step as the facet of its job; None if it ran none."""
    statements = record.get("statements", ())
    if not statements:
        return None
    text = ";\n".join(one["sql"] for one in statements)
    return sql_job.SQLJobFacet(query=text, dialect=statements[0].get("dialect") or None)


def _found(
    record: Record, noted: str, tables: Callable[[SqlMeta], Sequence[DbTableMeta]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the namespaces and names of datasets, each with the numbers of its facet; empty: none known."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in record.get(noted, ()):
        numbers = {"rowCount": one.get("rows"), "size": one.get("bytes")}
        known = {name: number for name, number in numbers.items() if number is not None}
        found[one["namespace"], one["name"]] = known
    for statement, meta in _parsed(record):
        for table in tables(meta):
            found.setdefault(_table(statement, table), {})
    return found


def _parsed(record: Record) -> Iterator[tuple[Record, SqlMeta]]:
    """Yield the statements that the parser understands, with their tables."""
    for statement in record.get("statements", ()):
        dialect = statement.get("dialect", "")
        meta = parse([statement["sql"]], dialect=_DIALECTS.get(dialect, dialect or "generic"))
        if meta is not None:
            yield statement, meta


def _table(statement: Record, table: DbTableMeta) -> tuple[str, str]:
    """Return the namespace and the name of a table."""
    database, schema = statement.get("database", ""), table.schema or statement.get("schema", "")
    parts = (table.database or database, schema, table.name)
    return statement.get("namespace", ""), ".".join(part for part in parts if part)
