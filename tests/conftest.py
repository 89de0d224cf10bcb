"""What tests of the command line share, and the report of the torture suite."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import warm_start
from tests.cli.command_line import CommandLine
from tests.servers.mariadb import MariaDb, mariadb
from tests.servers.postgres import Postgres, postgres
from tests.servers.samba import Samba, samba

# CI draws the same examples each time: a commit is judged by what it changed. Developers' runs draw new ones.
# No example has a deadline: a busy machine is no finding.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
hypothesis.settings.register_profile("developer", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "developer")


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """The installed command, working in a folder of its own."""
    return CommandLine(tmp_path)


@pytest.fixture
def cold_start() -> Iterator[None]:
    """Let the commands of the test start in interpreters of their own: a test of the start itself."""
    with warm_start.cold():
        yield


@pytest.fixture(scope="session")
def samba_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samba]:
    """Samba's file server, one for all tests of a process: each test works in a folder of its own there."""
    with samba(tmp_path_factory.mktemp("samba")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """PostgreSQL, one for all tests of a process: each test has a database of its own there."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDb]:
    """MariaDB, one for all tests of a process: each test has a database of its own there."""
    with mariadb() as server:
        yield server


def pytest_collection() -> None:
    """Look for no garbage while tests are collected: it takes a third of the time, and there is little."""
    gc.disable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let workers begin with what takes long: at the end, many short tests are shared out evenly.

    Each worker is given an equal part of the list. Torture begins the parts of the first two, so that it runs
    beside short tests and seldom beside itself: it waits more than it computes.
    """
    workers = config.workerinput["workercount"] if hasattr(config, "workerinput") else 1
    if workers == 1:
        return
    torture = [item for item in items if item.get_closest_marker("torture")]
    others = [item for item in items if not item.get_closest_marker("torture")]
    first, second = torture[::2], torture[1::2]
    between = max(0, len(items) // workers - len(first))
    items[:] = [*first, *others[:between], *second, *others[between:]]


def pytest_collection_finish() -> None:
    """Look for garbage among what the tests make, never again among the tests: they are a million objects."""
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seeds and counts of the torture suite."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "torture":
                terminalreporter.write_line(str(value))
