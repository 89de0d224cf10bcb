"""AF39x, AF98x: archives that cannot be packed or unpacked; each step is run in the process of the test."""

from __future__ import annotations

import zipfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aetherflow_archive.external_connector import ExternalConnector
from aetherflow_archive.gpg_step import gpg
from aetherflow_db.sqlite3_connector import Sqlite3Connector

from aetherflow import Resource, StepError
from aetherflow.testing import run_step
from tests.diagnostics.case import Case, Told
from tests.plugins.archives import OLD_ENCRYPTION, Run, archive_of


def fails(
    act: Callable[[Run], Awaitable[Any]],
    members: dict[str, bytes] | None = None,
    method: int = zipfile.ZIP_STORED,
) -> Told:
    """Return the case of a step beside an archive `a.zip` and a file `a.csv`."""

    async def by(folder: Path) -> str:
        database = await Sqlite3Connector.open(Resource("r", "db", "sqlite3", {"path": ":memory:"}))
        config = {"zip_cmd": ["sh", "-c", "echo no room >&2; exit 15"], "unzip_cmd": ["false"]}
        failing = await ExternalConnector.open(Resource("failing", "archive", "external", config))
        run = Run(folder, connectors={"r": database, "failing": failing})
        archive_of(run.artifacts / "a.zip", {"a.csv": b"a"} if members is None else members, method=method)
        run.write({"a.csv": "a"})
        try:
            await act(run)
        except StepError as error:
            return f"{error.code}: {error.message}\n    hint: {error.hint}\n"
        raise AssertionError("nothing failed")

    return Told(by)


async def _cut(run: Run) -> None:
    run.write({"a.zip": b"PK\x03\x04 and no more"})
    await run.unzip(src="a.zip", dst="in")


CASES: dict[str, Case | Told] = {
    "AF390": fails(lambda run: run.zip(src="a.csv", dst="o.zip", resource="r")),
    "AF391": fails(_cut),
    "AF392": fails(lambda run: run.unzip(src="a.zip", dst="in"), {"../../evil.sh": b"e"}),
    "AF393": fails(lambda run: run.unzip(archives=[*_locked(run)], dest_dir="in")),
    "AF394": fails(
        lambda run: run.unzip(src="a.zip", dst="in"), {"0": bytes(11 * 10**6)}, zipfile.ZIP_DEFLATED
    ),
    "AF395": fails(lambda run: run.zip(dest_path="o.zip", items=["/etc/passwd"])),
    "AF396": fails(lambda run: run.zip(src="a.csv", dst="a.zip", overwrite=False), {"b.csv": b"b"}),
    "AF397": fails(lambda run: run.unzip(src="a.zip", dst="a.csv")),
    "AF398": fails(lambda run: run.unzip(archives="a.zip", dest_dir="in", members=["b.csv"])),
    "AF985": fails(lambda run: run.zip(dest_path="o.gz", items=["a.csv", "a.zip"])),
    "AF986": fails(lambda run: run.zip(dest_path="o.zip", items=["a.csv"], resource="failing")),
    "AF987": fails(lambda run: _gpg(run, "decrypt")),
    "AF989": fails(lambda run: _gpg(run, "verify")),
}


async def _gpg(run: Run, action: str) -> None:
    """Let a program that reports as gpg does fail, or find no signature."""
    program = run.artifacts / "gpg"
    program.write_text(
        f"#!/bin/sh\n[ {action} = verify ] && exit 0\necho '[GNUPG:] NO_SECKEY 0123456789ABCDEF'\nexit 2\n"
    )
    program.chmod(0o700)
    await run_step(gpg, {"action": action, "files": "a.csv", "dest_dir": "out", "program": str(program)}, run)


def _locked(run: Run) -> list[str]:
    """Write an archive that is encrypted."""
    run.write({"locked.zip": OLD_ENCRYPTION})
    return ["locked.zip"]
