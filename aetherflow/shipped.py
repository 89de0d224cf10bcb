"""The one table of what ships in the wheel: steps, connectors and bundle sources, and where they are.

A test compares pyproject.toml with it: entry points, packages, extras, mypy_path, import contracts. To ship
another plugin, add its package and its lines here, and that test names what is missing there. May import
nothing of aetherflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Kind = Literal["step type", "connector", "bundle source"]


class Shipped(NamedTuple):
    """One line of the table.

    Attributes:
        name: how flows and manifests name it.
        target: `module:attribute`.
        summary: the first line of its docstring; shown without importing it.
    """

    kind: Kind
    name: str
    target: str
    summary: str


SHIPPED = (
    Shipped(
        "step type",
        "check_items",
        "aetherflow.steps.check_items:check_items",
        "Count items; SKIPPED when there are fewer than `min_count`.",
    ),
    Shipped(
        "step type",
        "with_lock",
        "aetherflow.steps.with_lock:with_lock",
        "Run a step while holding a named lock; its outputs are those of the step.",
    ),
    Shipped(
        "step type",
        "external.process",
        "aetherflow.steps.external_process:external_process",
        "Run a program; SKIPPED when its marker says that the work is done.",
    ),
    Shipped(
        "step type",
        "db_extract",
        "aetherflow_db.extract:db_extract",
        "Write the rows of a query to a TSV or JSON Lines file, in bounded memory.",
    ),
    Shipped(
        "connector",
        "db:sqlalchemy",
        "aetherflow_db.sqlalchemy_connector:SqlAlchemyConnector",
        "Reads through a pool of connections; a query that finds it empty waits its turn.",
    ),
    Shipped(
        "connector",
        "db:sqlite3",
        "aetherflow_db.sqlite3_connector:Sqlite3Connector",
        "Reads a SQLite file; every query has a connection of its own, so queries never wait for each other.",
    ),
    Shipped(
        "bundle source",
        "filesystem",
        "aetherflow.bundle.filesystem_source:FilesystemSource",
        "Every regular file below `base_path`; the fingerprint is path, size and time of change.",
    ),
)

PLUGIN_EXTRAS: Mapping[str, str] = {"aetherflow_db": "db"}
"""The packages of plugins that ship, and the extra that brings what each imports."""


def targets(kind: Kind) -> dict[str, str]:
    """Return the targets of one kind by name."""
    return {one.name: one.target for one in SHIPPED if one.kind == kind}
