from __future__ import annotations

import os
import threading
from pathlib import Path

import keyring
import pytest

from aetherflow.config import secret_presence as secret_presence_module
from aetherflow.config.secret_presence import Presence, secret_presence
from aetherflow.config.secret_reference import parse_reference

CANARY = "canary-7f3a9c"
ENV = {"PATH": os.environ["PATH"], "SET": CANARY, "EMPTY": ""}


def presence(text: str) -> Presence:
    return secret_presence(parse_reference(text), ENV)


def test_a_variable() -> None:
    assert presence("env:SET") == Presence("ok", "the variable SET is set")
    assert presence("env:EMPTY").state == presence("env:NONE").state == "error"


@pytest.mark.parametrize(
    ("content", "mode", "state", "message"),
    [
        (CANARY, 0o600, "ok", "the file {file} is there"),
        (CANARY, 0o644, "warning", "the file {file} can be read by every user of this machine"),
        ("", 0o600, "error", "the file {file} is empty"),
        (None, 0, "error", "there is no file {file}"),
    ],
)
def test_a_file(tmp_path: Path, content: str | None, mode: int, state: str, message: str) -> None:
    file = tmp_path / "db"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    found = presence(f"file:{file}")
    assert (found.state, found.message) == (state, message.format(file=file))
    assert bool(found.hint) is (state != "ok")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert presence(f"file:{tmp_path}").message == f"{tmp_path} is no file"


def test_a_program_is_looked_for_and_not_run(tmp_path: Path) -> None:
    assert presence(f"command:touch {tmp_path}/trace").state == "ok"
    assert list(tmp_path.iterdir()) == []
    assert presence("command:no_such_program show db").message == "there is no program no_such_program"


def test_an_entry_of_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "get_password", lambda service, _user: CANARY if service == "db" else None)
    assert presence("keyring:db/etl") == Presence("ok", "the keyring has an entry db/etl")
    assert presence("keyring:none/etl").state == "error"


def test_a_keyring_that_asks_somebody_who_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(secret_presence_module, "KEYRING_SECONDS", 0.05)
    monkeypatch.setattr(keyring, "get_password", lambda _service, _user: release.wait(30) and CANARY)
    found = presence("keyring:db/etl")
    release.set()
    assert (found.state, found.message) == ("error", "the keyring did not answer within 0.05 s")
