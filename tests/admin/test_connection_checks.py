"""`doctor --connect` opens every resource of a flow: real databases, and connectors that misbehave."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import ClassVar, Self

import anyio
import anyio.to_thread
import pytest

from aetherflow import registry
from aetherflow.admin import connection_checks as connect
from aetherflow.admin.connection_checks import check_connections
from aetherflow.errors import StepError
from aetherflow.sdk.checks import CheckResult
from aetherflow.sdk.connector import Connector, Resource
from tests.runs.run_parts import Place, flow

ONE = flow("{id: a, steps: [{id: s, type: probe, inputs: {resource: '{{env.WHICH:r}}'}}]}")
STUCK = threading.Event()


class Odd(Connector):
    """A connector that behaves as its config says."""

    closed: ClassVar[list[str]] = []

    def __init__(self, resource: Resource) -> None:
        self.how = resource.config.get("how", "")
        self.name = resource.name
        self.secret = resource.config.get("password", "")

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Open, or not."""
        match resource.config.get("how"):
            case "refuses":
                raise StepError(f"login of {resource.config['password']} refused", code="AF741", hint="ask")
            case "sleeps":
                await anyio.sleep_forever()
            case "blocks":
                await anyio.to_thread.run_sync(STUCK.wait)
            case _:
                pass
        return cls(resource)

    async def check(self) -> list[CheckResult]:
        """Say something."""
        if self.how == "":
            return await super().check()
        if self.how == "breaks":
            raise RuntimeError(f"no answer for {self.secret}")
        return [
            CheckResult("login", "ok", f"as {self.secret}"),
            CheckResult("certificate", "warning", "expires", "renew it"),
        ]

    async def aclose(self) -> None:
        """Close."""
        self.closed.append(self.name)


@pytest.fixture
def odd(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let flows of the place open `test:odd`."""
    assert place
    monkeypatch.setattr(registry, "CONNECTORS", {**registry.CONNECTORS, "test:odd": f"{__name__}:Odd"})
    Odd.closed.clear()
    STUCK.clear()
    yield Odd.closed
    STUCK.set()


def tried(place: Place, **resources: str) -> list[CheckResult]:
    lines = [
        f"  {name}: {{kind: test, driver: odd, config: {config}}}\n" for name, config in resources.items()
    ]
    return check_connections(place.checked(ONE + "resources:\n" + "".join(lines), PIN="canary-7f3a9c"))


def test_a_connector_that_checks_nothing_is_checked_by_opening_it(place: Place, odd: list[str]) -> None:
    assert tried(place, r="{}") == [CheckResult("connect r", "ok", "connection: it can be opened")]
    assert odd == ["r"]


def test_what_a_connector_says_is_reported_in_the_order_of_the_flow_and_masked(
    place: Place, odd: list[str]
) -> None:
    pin = "password: {secret: 'env:PIN'}"
    found = tried(
        place,
        z=f"{{how: tells, {pin}}}",
        a=f"{{how: refuses, {pin}}}",
        b=f"{{how: breaks, {pin}}}",
        c="{password: {secret: 'file:/no/pin'}}",
    )
    assert found == [
        CheckResult("connect z", "ok", "login: as ***"),
        CheckResult("connect z", "warning", "certificate: expires", "renew it"),
        CheckResult("connect a", "error", "[AF741] login of *** refused", "ask"),
        CheckResult("connect b", "error", "RuntimeError: no answer for ***"),
        CheckResult(
            "connect c",
            "error",
            "[AF571] resource 'c': config.password: cannot read the secret in /no/pin: "
            "no such file or directory",
            "check the path and its permissions; a relative one starts at the file that has it",
        ),
    ]
    assert sorted(odd) == ["b", "z"]


def test_one_that_hangs_is_reported_and_holds_up_nobody(
    place: Place, odd: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(connect, "GRACE_SECONDS", 1.0)
    found = tried(place, a="{how: sleeps}", b="{how: blocks}", c="{}")
    slow = ("error", "it did not answer within 1 s")
    assert [(one.subject, one.state, one.message) for one in found] == [
        ("connect a", *slow),
        ("connect b", *slow),
        ("connect c", "ok", "connection: it can be opened"),
    ]
    assert odd == ["c"]


def test_a_secrets_provider_that_hangs_is_reported_as_itself(
    place: Place, odd: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(connect, "GRACE_SECONDS", 1.0)
    provider = place.folder / "provider.py"
    provider.write_text(
        f"from {__name__} import STUCK\ndef decode(value):\n    STUCK.wait()\n    return value\n"
    )
    config = "config: {password: x}, decode: {config: {password: true}}"
    text = f"resources:\n  r: {{kind: test, driver: odd, {config}}}\n"

    (found,) = check_connections(place.checked(ONE + text, AETHERFLOW_SECRETS_PATH=str(provider)))

    assert (found.state, found.message) == ("error", "its secrets did not come within 1 s")
    assert found.hint == f"look at decode of {provider}"
    assert "r" not in odd


@pytest.mark.parametrize(
    ("driver", "config"),
    [("sqlite3", "{{path: {file}}}"), ("sqlalchemy", "{{url: 'sqlite:///{file}'}}")],
)
def test_a_sqlite_file_shows_what_can_be_seen_and_how_much_room_there_is(
    place: Place, driver: str, config: str
) -> None:
    file = place.folder / "deep" / "data.sqlite"
    text = f"{ONE}resources:\n  r: {{kind: db, driver: {driver}, config: {config.format(file=file)}}}\n"
    checked = place.checked(text)
    absent = check_connections(checked)
    assert absent[0].state == "warning"
    assert absent[0].message.startswith(f"file: {file} does not exist")
    assert not file.parent.exists(), "to look made something"
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("CREATE TABLE one (x)")
        raw.execute("CREATE VIEW two AS SELECT * FROM one")
    reported = [one.message for one in check_connections(checked)]
    assert "read: 2 tables and views can be seen" in reported
    assert "write: the file can be written" in reported
    assert reported[-1].endswith(f"free in {file.parent}")
    file.write_bytes(b"no database at all" * 100)
    (broken,) = check_connections(checked)
    assert (broken.state, broken.message[:7]) == ("error", "[AF741]")


def test_a_database_that_nobody_serves_is_an_error_without_its_password(place: Place) -> None:
    url = "postgresql+nodriver://etl:canary-7f3a9c@127.0.0.1:1/x"
    text = f"{ONE}resources:\n  r: {{kind: db, driver: sqlalchemy, config: {{url: '{url}'}}}}\n"
    (found,) = check_connections(place.checked(text))
    assert found.state == "error"
    assert "canary" not in found.message
