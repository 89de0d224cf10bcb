"""A bundle whose every file says of which version it is, so that half a version is seen at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from aetherflow.bundle.bundle_paths import bundle_paths
from aetherflow.bundle.snapshot import hold_active
from tests.polling import wait_until
from tests.warm_start import COMMAND, Popen

FILES = 60
KEPT = 30
"""So many of the files are the same in all versions; the others carry the number of the version."""


class Shop:
    """A source, a manifest, and the place of the bundle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places = bundle_paths(folder / "state" / "work", "demo")
        self.version = 0
        (folder / "bundle.yaml").write_text(
            "version: 1\nbundle: {id: demo, source: {type: filesystem, base_path: share}}\n"
        )
        self.write_version()

    def write_version(self) -> None:
        """Write the next version: files change, and with each number another set of them is there."""
        self.version += 1
        for number in range(FILES):
            path = self.folder / "share" / f"folder{number % 5}" / f"file{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if number < KEPT:
                path.write_text(f"always {number}\n" * 200)
            elif (number + self.version) % 3:
                path.write_text(f"version {self.version} of {number}\n" * 500)
            else:
                path.unlink(missing_ok=True)

    def expected(self, version: int) -> dict[str, str]:
        """Return the first line of each file of a version."""
        files = {f"folder{n % 5}/file{n}": f"always {n}" for n in range(KEPT)}
        for n in range(KEPT, FILES):
            if (n + version) % 3:
                files[f"folder{n % 5}/file{n}"] = f"version {version} of {n}"
        return files

    def active_version(self) -> int:
        """Return the version that is active, whole to its last byte; 0 if none is."""
        held = hold_active(self.places)
        if held is None:
            return 0
        with held:
            texts = {
                path.relative_to(held.path).as_posix(): path.read_text()
                for path in held.path.rglob("*")
                if path.is_file()
            }
        version = int(next(t.split()[1] for t in texts.values() if t.startswith("version")))
        expected = self.expected(version)
        assert texts.keys() == expected.keys(), "files are missing, or are of another version"
        for name, text in texts.items():
            times = 200 if text.startswith("always") else 500
            assert text == f"{expected[name]}\n" * times, f"{name} is not whole"
        return version

    def start(self, *failpoint: str) -> subprocess.Popen[bytes]:
        """Start a sync, of the real command or of one that dies at a point."""
        program = [sys.executable, "-m", "tests.torture.dying_sync", *failpoint] if failpoint else [COMMAND]
        root = Path(__file__).parents[2]
        with (self.folder / "said.log").open("ab") as log:
            return Popen(
                [*program, "bundle", "sync", "--bundle-manifest", self.folder / "bundle.yaml", "--json"],
                cwd=root,
                env=os.environ | {"AETHERFLOW_STATE_ROOT": str(self.folder / "state")},
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def wait_for_lock(self, process: subprocess.Popen[bytes]) -> None:
        """Return when the sync has begun its work, or ended."""
        signed = f'"process {process.pid} on '
        wait_until(
            lambda: (
                (self.places.lock.exists() and signed in self.places.lock.read_text())
                or process.poll() is not None
            ),
            "the sync did not begin",
        )

    def finish(self) -> None:
        """Sync to the end: what is active is what the source holds, and nothing is left over."""
        process = self.start()
        process.communicate(timeout=60)
        assert process.returncode == 0, (self.folder / "said.log").read_text()[-2000:]
        assert self.active_version() == self.version
        left = [
            path
            for folder in (self.places.root, self.places.objects, self.places.snapshots, self.places.cache)
            for path in folder.glob(".*")
        ]
        assert left == []
        assert len(list(self.places.snapshots.iterdir())) <= 3
