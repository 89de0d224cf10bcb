"""AF85x to AF87x: bundles and enterprise mode."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from aetherflow.bundle.bundle_paths import BundlePaths
from aetherflow.bundle.object_store import ObjectStore, ObjectWriter
from aetherflow.bundle.snapshot import activate
from aetherflow.bundle.source import BundleFile, SourceChanged
from aetherflow.bundle.sync_lock import exclusive
from aetherflow.cli.printing import print_error
from aetherflow.clock import SystemClock
from aetherflow.errors import AetherFlowError, BundleError
from tests.cli.test_enterprise import PACKER
from tests.diagnostics.case import OK, Case, Told, process

SYNC = "aetherflow bundle sync --bundle-manifest bundle.yaml"
RUN = "aetherflow run --bundle-manifest bundle.yaml --run-id r"
FLOW = {"share/flows/flow.yaml": OK}


def manifest(
    source: str = "{type: filesystem, base_path: share}", more: str = "", head: str = ""
) -> dict[str, str]:
    """Return the manifest of a bundle."""
    bundle = f"bundle:\n  id: b\n  source: {source}\n  entry_flow: flow.yaml\n{more}"
    return {"bundle.yaml": f"version: 1\n{head}{bundle}", **FLOW}


def synced(files: dict[str, str], script: str = SYNC) -> Case:
    """Return the case of a sync."""
    return Case(script=script, files=files)


def strict(flow: str, more: str = "", files: dict[str, str] | None = None) -> Case:
    """Return the case of a run in enterprise mode."""
    return Case(
        script=RUN,
        files={
            **manifest(more=more, head="mode: enterprise\n"),
            "share/flows/flow.yaml": flow,
            **(files or {}),
        },
    )


async def _held_twice(folder: Path) -> None:
    """Want a lock that is held, and do not wait."""
    async with (
        exclusive(folder / "lock", "the bundle b", SystemClock(), 0),
        exclusive(folder / "lock", "the bundle b", SystemClock(), 0),
    ):
        raise AssertionError


def _damaged(folder: Path) -> None:
    """Store a file that is not what its source said."""
    sink = ObjectWriter(ObjectStore(folder, {}), BundleFile("flows/a.yaml", size=1, sha256="00" * 32))
    sink.write(b"x")
    try:
        sink.finish()
    finally:
        sink.close()


def _without_links(folder: Path) -> None:
    """Switch to a snapshot where the file system knows no symbolic links."""

    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    (folder / "snapshots" / "one").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "symlink_to", refused)
        activate(BundlePaths(folder), "one")


def _print(error: AetherFlowError) -> None:
    print_error(error)


CASES: dict[str, Case | Told] = {
    "AF850": synced(manifest("{type: filesystem, base_path: share, list_sql: select 1}")),
    "AF851": synced(manifest(more="  layout: {flows_dir: ../flows}\n")),
    "AF852": synced(manifest("{type: sftp, resource: serverr, base_path: /flows}")),
    "AF853": synced({**manifest(), "share/flows/Flow.yaml": OK}),
    "AF855": synced(manifest(), f"ln -s flow.yaml share/flows/latest.yaml; {SYNC}"),
    "AF856": synced(manifest("{type: filesystem, base_path: nowhere}")),
    "AF857": Told(lambda _: _print(SourceChanged("flows/a.yaml grew while the bundle was synced"))),
    "AF858": Told(_damaged),
    "AF859": Case(script=f"touch work; {SYNC}", files=manifest(), env={"AETHERFLOW_WORK_ROOT": "work"}),
    "AF860": Told(lambda _: _print(BundleError("the source of a plugin cannot be read"))),
    "AF861": synced(
        manifest("{type: git, resource: r, base_path: x}", "resources: {r: {kind: git, driver: x}}\n")
    ),
    "AF862": Told(_held_twice),
    "AF863": Told(_without_links),
    "AF864": synced(manifest(), f"rm share/flows/*; {SYNC}"),
    "AF865": synced(manifest(), f"{RUN.replace('run', 'run nope.yaml', 1)}"),
    "AF866": synced(manifest(), f"{SYNC}; mv share elsewhere; {RUN} --allow-stale-bundle"),
    "AF867": synced(manifest(), f"{RUN}; echo '# newer' >> share/flows/flow.yaml; {RUN}"),
    "AF870": strict(process("command: ['true'], log: {stdout: file, file_path: /srv/elsewhere.log}")),
    "AF871": strict(OK.replace("{id: f}", "{id: f, workspace: {root: /srv/elsewhere}}")),
    "AF872": strict(
        OK + "resources: {packer: {kind: archive, driver: external}}\n",
        "paths: {plugins: [trusted]}\n",
        {"trusted/packer.py": PACKER},
    ),
    "AF873": strict(
        OK, "env_files: [{path: night.env}]\n", {"share/night.env": "AETHERFLOW_MODE=internal_fast\n"}
    ),
    "AF874": synced(
        manifest(
            "{type: db, resource: r}",
            "resources: {r: {kind: file, driver: local, config: {path: share}}}\n",
        )
    ),
    "AF875": synced(
        manifest(
            "{type: db, resource: r, list_sql: SELECT 'a.yaml' AS path}",
            "resources: {r: {kind: db, driver: sqlite3, config: {path: a.sqlite}}}\n",
        )
    ),
}
