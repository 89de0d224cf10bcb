"""Files that a resource or a profile names start at the file that names them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.bundle_files import MANIFEST, OPTION, with_bundle
from tests.cli.command_line import CommandLine, flow

READ = "- {id: s, type: db_extract, inputs: {resource: r, sql: select name from t, output: o.tsv}}"


def database(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("create table t (name); insert into t values ('found')")


def resource(keys: str) -> str:
    return f"flow: {{id: f}}\nresources:\n  r: {{kind: db, {keys}}}"


@pytest.mark.parametrize(
    "keys",
    [
        "driver: sqlite3, config: {path: data/x.db}",
        "driver: sqlite3, config: {database: ./data/x.db}",
        "driver: sqlite3, config: {url: 'sqlite:///data/x.db'}",
        "driver: sqlalchemy, config: {url: 'sqlite:///data/x.db'}",
        "driver: sqlalchemy, config: {url: '{{env.URL}}'}",
    ],
)
def test_a_database_beside_the_flow(cli: CommandLine, keys: str) -> None:
    database(cli.folder / "flows/data/x.db")
    cli.write("flows/flow.yaml", flow(READ, head=resource(keys)))
    done = cli.run("run", "flows/flow.yaml", env={"URL": "sqlite:///data/x.db?timeout=9"})
    assert done.code == 0, done.err
    assert not (cli.folder / "data").exists()


def test_a_database_in_the_home_folder(cli: CommandLine) -> None:
    database(cli.folder / "mine/x.db")
    cli.write("flows/flow.yaml", flow(READ, head=resource("driver: sqlite3, config: {path: ~/mine/x.db}")))
    assert cli.run("run", "flows/flow.yaml").code == 0


def test_a_path_of_a_profile_starts_at_the_profiles_file(cli: CommandLine) -> None:
    database(cli.folder / "conf/x.db")
    cli.write("conf/profiles.yaml", "p: {config: {path: x.db}}\n")
    cli.write("flows/flow.yaml", flow(READ, head=resource("driver: sqlite3, profile: p")))
    done = cli.run("run", "flows/flow.yaml", env={"AETHERFLOW_PROFILES_FILE": "conf/profiles.yaml"})
    assert done.code == 0, done.err


def test_a_database_of_a_bundle_is_read_from_the_snapshot(cli: CommandLine) -> None:
    with_bundle(cli)
    database(cli.folder / "share/flows/x.db")
    cli.write("share/flows/hello.yaml", flow(READ, head=resource("driver: sqlite3, config: {path: x.db}")))
    done = cli.run("run", *OPTION)
    assert done.code == 0, done.err


def test_a_path_in_the_manifest_starts_at_the_manifest(cli: CommandLine) -> None:
    with_bundle(cli)
    database(cli.folder / "here/x.db")
    shared = "resources:\n  r: {kind: db, driver: sqlite3, config: {path: here/x.db}}\n"
    cli.write("bundle.yaml", MANIFEST + shared)
    cli.write("share/flows/hello.yaml", flow(READ))
    (cli.folder / "else").mkdir()
    done = cli.bash("cd else && aetherflow run --bundle-manifest ../bundle.yaml")
    assert done.code == 0, done.err


def test_a_file_that_was_left_where_an_earlier_version_looked_is_named(cli: CommandLine) -> None:
    database(cli.folder / "x.db")
    cli.write("flows/flow.yaml", flow(READ, head=resource("driver: sqlite3, config: {path: x.db}")))
    done = cli.run("run", "flows/flow.yaml")
    assert done.code == 1
    assert "AF144" in done.err
    assert not (cli.folder / "flows/x.db").exists()


FETCHED = "driver: sqlite3, config: {path: {secret: 'file:%s'}}"


@pytest.mark.parametrize("name", ["where.txt", "~/flows/where.txt", "{{env.NAME}}", "{{flow.dir}}/where.txt"])
def test_the_file_of_a_secret_starts_at_the_flow(cli: CommandLine, name: str) -> None:
    database(cli.folder / "x.db")
    cli.write("flows/where.txt", f"{cli.folder}/x.db\n").chmod(0o600)
    cli.write("flows/flow.yaml", flow(READ, head=resource(FETCHED % name)))
    env = {"NAME": "where.txt"}
    checked = cli.run("doctor", "flows/flow.yaml", env=env)
    assert f"the file {cli.folder}/flows/where.txt is there" in checked.out, checked
    done = cli.run("run", "flows/flow.yaml", env=env)
    assert done.code == 0, done.err


def test_the_file_of_a_secret_of_a_profile_starts_at_the_profiles_file(cli: CommandLine) -> None:
    database(cli.folder / "x.db")
    cli.write("conf/where.txt", f"{cli.folder}/x.db\n").chmod(0o600)
    cli.write("conf/profiles.yaml", "p: {config: {path: {secret: 'file:where.txt'}}}\n")
    cli.write("flows/flow.yaml", flow(READ, head=resource("driver: sqlite3, profile: p")))
    done = cli.run("run", "flows/flow.yaml", env={"AETHERFLOW_PROFILES_FILE": "conf/profiles.yaml"})
    assert done.code == 0, done.err


def test_a_secret_in_a_folder_that_no_shell_names_is_found_by_validate(cli: CommandLine) -> None:
    cli.write("flow.yaml", flow(READ, head=resource(FETCHED % "$SECRETS/db")))
    checked = cli.run("validate", "flow.yaml")
    assert checked.code == 2
    assert "AF570" in checked.err
    assert "$NAME" in checked.err
