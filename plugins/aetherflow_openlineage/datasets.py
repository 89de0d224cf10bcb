"""Make OpenLineage data sets of what a step noted that it reads and writes, and of the tables in its SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """Return the data sets that a step read: those that it noted, and the tables of its statements."""
    found = {(one["namespace"], one["name"]): _input(one) for one in record.get("reads", ())}
    for statement, meta in _parsed(record.get("statements", ())):
        for table in meta.in_tables:
            key = _table(statement, table)
            found.setdefault(key, InputDataset(*key))
    return list(found.values())


def outputs_of(record: Record) -> list[OutputDataset]:
    """Return the data sets that a step wrote, likewise."""
    found = {(one["namespace"], one["name"]): _output(one) for one in record.get("writes", ())}
    for statement, meta in _parsed(record.get("statements", ())):
        for table in meta.out_tables:
            key = _table(statement, table)
            found.setdefault(key, OutputDataset(*key))
    return list(found.values())


def sql_of(record: Record) -> sql_job.SQLJobFacet | None:
    """Return the statements of a step as the facet of its job; None if it ran none."""
    statements = record.get("statements", ())
    if not statements:
        return None
    text = ";\n".join(one["sql"] for one in statements)
    return sql_job.SQLJobFacet(query=text, dialect=statements[0].get("dialect") or None)


def _input(noted: Record) -> InputDataset:
    rows, size = noted.get("rows"), noted.get("bytes")
    facets: dict[str, Any] = {}
    if rows is not None or size is not None:
        statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(rowCount=rows, size=size)
        facets["inputStatistics"] = statistics
    return InputDataset(noted["namespace"], noted["name"], inputFacets=facets)


def _output(noted: Record) -> OutputDataset:
    rows, size = noted.get("rows"), noted.get("bytes")
    facets: dict[str, Any] = {}
    if rows is not None or size is not None:
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=rows, size=size
        )
        facets["outputStatistics"] = statistics
    return OutputDataset(noted["namespace"], noted["name"], outputFacets=facets)


def _parsed(statements: Sequence[Record]) -> Iterator[tuple[Record, SqlMeta]]:
    """Yield the statements that the parser understands, with their tables."""
    for statement in statements:
        dialect = statement.get("dialect", "")
        meta = parse([statement["sql"]], dialect=_DIALECTS.get(dialect, dialect or "generic"))
        if meta is not None:
            yield statement, meta


def _table(statement: Record, table: DbTableMeta) -> tuple[str, str]:
    """Return the namespace and the name of a table."""
    database, schema = statement.get("database", ""), table.schema or statement.get("schema", "")
    parts = (table.database or database, schema, table.name)
    return statement.get("namespace", ""), ".".join(part for part in parts if part)
