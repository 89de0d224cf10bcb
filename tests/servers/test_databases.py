"""The database servers of the tests start, and each test has a database of its own."""

from __future__ import annotations

from tests.servers.mariadb import MariaDb
from tests.servers.postgres import Postgres


def test_postgresql_answers(postgres_server: Postgres) -> None:
    first, second = postgres_server.new_database(), postgres_server.new_database()
    assert first != second
    postgres_server.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)", first)
    assert postgres_server.execute("SELECT n FROM t", first) == [(1,)]
    assert postgres_server.execute("SELECT to_regclass('t')", second) == [(None,)]


def test_mariadb_answers(mariadb_server: MariaDb) -> None:
    first, second = mariadb_server.new_database(), mariadb_server.new_database()
    assert first != second
    mariadb_server.execute("CREATE TABLE t (n int)", first)
    mariadb_server.execute("INSERT INTO t VALUES (1)", first)
    assert mariadb_server.execute("SELECT n FROM t", first) == [(1,)]
    assert mariadb_server.execute("SHOW TABLES", second) == []
