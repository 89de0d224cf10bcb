"""PostgreSQL on loopback for tests, with a role and databases of its own below one folder.

Starting it costs a second, so tests share one: take the fixture `postgres_server`, and a database of your own
from `new_database()`. A server started by root runs as the account `postgres`, which cannot enter the folders
of pytest; so its files are in a folder of the system's temporary folder, and removed at the end.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.servers.ends_with_tests import ENDS_WITH_THE_TESTS
from tests.servers.free_port import free_port

PASSWORD = "s3cret pass-wörd"  # noqa: S105 - of a server that lives for seconds
ACCOUNT = "postgres"

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "timezone": "UTC",
    "autovacuum": "off",
}


@dataclass(frozen=True)
class Postgres:
    """A running server; its role may do everything.

    Attributes:
        folder: has the socket (`PORT` is a part of its name) and the server's log `log`.
    """

    port: int
    folder: Path
    user: str = "aether"
    password: str = PASSWORD
    host: str = "127.0.0.1"
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def new_database(self) -> str:
        """Make an empty database for one test, and return its name."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def config(self, database: str = "postgres", **changes: object) -> dict[str, object]:
        """Return the config of a resource in parts, with these changes."""
        base = {"host": self.host, "port": self.port, "user": self.user, "password": self.password}
        return {**base, "database": database, **changes}

    def url(self, database: str = "postgres", *, scheme: str = "postgresql+psycopg", port: int = 0) -> str:
        """Return the URL of a database; another port is that of a proxy."""
        login = f"{self.user}:{quote(self.password)}"
        return f"{scheme}://{login}@{self.host}:{port or self.port}/{database}"

    def execute(self, sql: str, database: str = "postgres", params: Any = None) -> list[tuple[Any, ...]]:
        """Run statements outside of a transaction, and return the rows of the last one, if it has any."""
        import psycopg  # noqa: PLC0415 - only tests with a database wait for its import

        with psycopg.connect(self.url(database, scheme="postgresql"), autocommit=True) as connection:
            cursor = connection.execute(sql, params)
            return cursor.fetchall() if cursor.description else []


def missing_for_postgres() -> str:
    """Return why PostgreSQL cannot be started here; empty if it can."""
    return "" if _program("initdb") else "PostgreSQL is not installed: apt-get install postgresql"


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a server; skip the test where it is not installed."""
    if reason := missing_for_postgres():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="aetherflow-postgres-"))
    try:
        with _running(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(folder: Path) -> Iterator[Postgres]:
    server = Postgres(free_port(), folder)
    login = _login()
    (folder / "password").write_text(server.password)
    if login:
        shutil.chown(folder, ACCOUNT)
    data = folder / "data"
    logins = ["-U", server.user, "--auth=scram-sha-256", f"--pwfile={folder / 'password'}"]
    made = subprocess.run(
        [_program("initdb"), "-D", str(data), *logins, "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        **login,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    settings = [word for key, value in SETTINGS.items() for word in ("-c", f"{key}={value}")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *ENDS_WITH_THE_TESTS,
                _program("postgres"),
                "-D",
                str(data),
                "-p",
                str(server.port),
                "-k",
                str(folder),
                *settings,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
            **login,
        )
    try:
        _wait_until_ready(data / "postmaster.pid", process, folder / "log")
        yield server
    finally:
        process.send_signal(signal.SIGQUIT)  # it ends its children at once, and stores nothing
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)


def _wait_until_ready(status: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(2400):  # at least a minute: many tests may start servers at once
        # The server writes its state into the last line of this file.
        if status.exists() and status.read_text().rstrip().endswith("ready"):
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.025)
    pytest.fail(f"PostgreSQL does not start: {log.read_text()}")


def _login() -> dict[str, Any]:
    """Return the account that the server runs as, for `subprocess`: it refuses to be root."""
    return {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": ()} if os.geteuid() == 0 else {}


def _program(name: str) -> str:
    """Return the newest server's program, which Debian does not put into PATH; empty if it is not there."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda file: float(file.parts[-3]))
    return str(found[-1]) if found else shutil.which(name) or ""
