"""MariaDB on loopback for tests, with an account and databases of its own below one folder.

Starting it costs a second, so tests share one: take the fixture `mariadb_server`, and a database of your own
from `new_database()`. A server started by root runs as the account `mysql`, which cannot enter the folders of
pytest; so its files are in a folder of the system's temporary folder, and removed at the end.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.servers.ends_with_tests import ENDS_WITH_THE_TESTS
from tests.servers.free_port import free_port

PASSWORD = "s3cret pass-wörd"  # noqa: S105 - of a server that lives for seconds
ACCOUNT = "mysql"
FIRST_STATEMENTS = """\
CREATE USER aether@'%' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO aether@'%' WITH GRANT OPTION;
"""

INSTALLED_WITH = (
    "--skip-test-db",
    "--skip-name-resolve",
    "--auth-root-authentication-method=normal",
    "--innodb-flush-method=nosync",
)
SETTINGS = (
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=32M",
    "--character-set-server=utf8mb4",
    "--local-infile=1",
    "--default-time-zone=+00:00",
)


@dataclass(frozen=True)
class MariaDb:
    """A running server; its account may do everything.

    Attributes:
        folder: has the file `socket` and the server's log `log`.
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

    def config(self, database: str = "mysql", **changes: object) -> dict[str, object]:
        """Return the config of a resource in parts, with these changes."""
        base = {"host": self.host, "port": self.port, "user": self.user, "password": self.password}
        return {**base, "database": database, **changes}

    def url(self, database: str = "mysql", *, scheme: str = "mysql+pymysql", port: int = 0) -> str:
        """Return the URL of a database; another port is that of a proxy."""
        login = f"{self.user}:{quote(self.password)}"
        return f"{scheme}://{login}@{self.host}:{port or self.port}/{database}"

    def execute(self, sql: str, database: str = "mysql", params: Any = None) -> list[tuple[Any, ...]]:
        """Run one statement, committed by itself, and return its rows."""
        import pymysql  # noqa: PLC0415 - only tests with a database wait for its import

        login = {"user": self.user, "password": self.password.encode(), "database": database}
        where = {"host": self.host, "port": self.port, "charset": "utf8mb4", "autocommit": True}
        # Without TLS, as this is loopback: to read the system's certificates takes longer than all the rest.
        opened = pymysql.connect(**where, **login, ssl_disabled=True)
        with closing(opened) as connection, connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())


def missing_for_mariadb() -> str:
    """Return why MariaDB cannot be started here; empty if it can."""
    installed = shutil.which("mariadbd", path=_path()) and shutil.which("mariadb-install-db", path=_path())
    return "" if installed else "MariaDB is not installed: apt-get install mariadb-server"


@contextmanager
def mariadb() -> Iterator[MariaDb]:
    """Start a server; skip the test where it is not installed."""
    if reason := missing_for_mariadb():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="aetherflow-mariadb-"))
    try:
        with _running(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(folder: Path) -> Iterator[MariaDb]:
    server = MariaDb(free_port(), folder)
    login = _login()
    # At its start, a server removes the temporary tables of others that have the same folder for them.
    env = {**os.environ, "PATH": _path(), "TMPDIR": str(folder)}
    (folder / "first.sql").write_text(FIRST_STATEMENTS.format(password=server.password), encoding="utf-8")
    if login:
        shutil.chown(folder, ACCOUNT)
    places = [f"--datadir={folder / 'data'}", f"--socket={folder / 'socket'}", f"--port={server.port}"]
    made = subprocess.run(
        ["mariadb-install-db", "--no-defaults", places[0], *INSTALLED_WITH],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=env,
        **login,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *ENDS_WITH_THE_TESTS,
                "mariadbd",
                "--no-defaults",
                *places,
                *SETTINGS,
                f"--init-file={folder / 'first.sql'}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=env,
            start_new_session=True,
            **login,
        )
    try:
        _wait_until_ready(server, process)
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # nothing needs to be stored
        process.wait(5)


def _wait_until_ready(server: MariaDb, process: subprocess.Popen[bytes]) -> None:
    log = server.folder / "log"
    for _ in range(2400):  # at least a minute: many tests may start servers at once
        # It listens when the accounts are there.
        with suppress(OSError), socket.create_connection((server.host, server.port), 1):
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.025)
    pytest.fail(f"MariaDB does not start: {log.read_text()}")


def _login() -> dict[str, Any]:
    """Return the account that the server runs as, for `subprocess`."""
    return {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": ()} if os.geteuid() == 0 else {}


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"
