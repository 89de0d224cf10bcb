"""Collect what a step reads and writes, for the event that ends it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from aetherflow.events.lineage import Dataset, Statement
from aetherflow.redaction import Redactor
from aetherflow.sdk.json_values import plain_text

MOST_DATASETS = 100
"""So many datasets of a step are stored in each direction, so that its event stays small."""

MOST_CHARACTERS = 10_000
"""How much of a statement is stored."""


class Lineage:
    """The datasets and the statements of one attempt of a step."""

    def __init__(self) -> None:
        self._reads: dict[tuple[str, str], Dataset] = {}
        self._writes: dict[tuple[str, str], Dataset] = {}
        self._statements: dict[str, Statement] = {}

    def add(
        self, reads: Iterable[Dataset], writes: Iterable[Dataset], statements: Iterable[Statement]
    ) -> None:
        """Take note; of a dataset that is named again the last facts count."""
        _keep(self._reads, reads)
        _keep(self._writes, writes)
        for one in statements:
            if len(self._statements) < MOST_DATASETS:
                self._statements[one.sql] = one

    def fields(self, redactor: Redactor) -> dict[str, Any]:
        """Return the fields of the event, masked; nothing if nothing was noted."""
        if not (self._reads or self._writes or self._statements):
            return {}
        found: dict[str, Any] = {
            "reads": [_masked(one, redactor) for one in self._reads.values()],
            "writes": [_masked(one, redactor) for one in self._writes.values()],
            "statements": [_masked_statement(one, redactor) for one in self._statements.values()],
        }
        return {name: value for name, value in found.items() if value}


def _keep(noted: dict[tuple[str, str], Dataset], datasets: Iterable[Dataset]) -> None:
    for one in datasets:
        key = one.namespace, one.name
        if key in noted or len(noted) < MOST_DATASETS:
            noted[key] = one


def _masked(dataset: Dataset, redactor: Redactor) -> Dataset:
    namespace, name = redactor.text(dataset.namespace), redactor.text(dataset.name)
    return replace(dataset, namespace=plain_text(namespace), name=plain_text(name))


def _masked_statement(statement: Statement, redactor: Redactor) -> Statement:
    sql = plain_text(redactor.text(statement.sql))
    cut = sql if len(sql) <= MOST_CHARACTERS else f"{sql[:MOST_CHARACTERS]}…"
    names = {name: getattr(statement, name) for name in ("namespace", "database", "schema")}
    masked = {name: plain_text(redactor.text(text)) for name, text in names.items()}
    return replace(statement, sql=cut, **masked)
