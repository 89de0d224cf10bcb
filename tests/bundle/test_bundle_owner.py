"""Two manifests with one id: who has which folder of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from aetherflow.bundle.bundle_owner import FolderTaken, claim, find_home, owner_of
from aetherflow.bundle.bundle_paths import BundlePaths


class Machine:
    """A work root and the manifests on one machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def manifest(self, name: str) -> Path:
        """Return the path of a manifest that exists."""
        path = self.folder / name / "bundle.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text("version: 1\n")
        return path

    def home(self, manifest: Path, origin: str) -> BundlePaths:
        """Return the folder that a manifest gets now."""
        return find_home(self.folder, "team", "private", owner_of(manifest, origin)).paths

    def synced(self, manifest: Path, origin: str) -> Path:
        """Claim the folder and make a snapshot in it active, as a sync does; return the folder."""
        paths = self.home(manifest, origin)
        (paths.snapshots / ("0" * 32)).mkdir(parents=True, exist_ok=True)
        claim(paths, owner_of(manifest, origin))
        paths.active.unlink(missing_ok=True)
        paths.active.symlink_to(Path("snapshots", "0" * 32))
        return paths.root


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_two_manifests_with_other_sources_have_folders_of_their_own(machine: Machine) -> None:
    one, other = machine.manifest("one"), machine.manifest("other")

    first = machine.synced(one, "source 1")
    second = machine.synced(other, "source 2")

    assert first == machine.folder / "bundles" / "team"
    assert second.parent == first.parent
    assert second.name.startswith("team@")
    assert machine.home(one, "source 1").root == first
    assert machine.home(other, "source 2").root == second
    same = find_home(machine.folder, "team", "private", owner_of(other, "source 2"))
    assert same.same_id == str(one)


def test_two_manifests_with_one_source_share_the_folder(machine: Machine) -> None:
    assert machine.synced(machine.manifest("one"), "s") == machine.synced(machine.manifest("other"), "s")


def test_a_manifest_whose_source_changes_keeps_its_folder(machine: Machine) -> None:
    one, other = machine.manifest("one"), machine.manifest("other")
    folder = machine.synced(one, "source 1")

    assert machine.synced(one, "source 2") == folder
    assert machine.home(one, "").root == folder  # also when its source cannot be resolved
    assert machine.home(other, "source 1").root != folder
    assert machine.home(other, "").root != folder


def test_a_manifest_that_went_away_leaves_its_folder_to_the_next(machine: Machine) -> None:
    one, other = machine.manifest("one"), machine.manifest("other")
    folder = machine.synced(one, "source 1")
    one.unlink()

    assert machine.synced(other, "source 2") == folder
    assert machine.home(other, "source 2").root == folder
    assert machine.home(machine.manifest("one"), "source 1").root != folder


def test_a_folder_without_a_snapshot_keeps_nobody_out(machine: Machine) -> None:
    one, other = machine.manifest("one"), machine.manifest("other")
    paths = machine.home(one, "source 1")
    paths.root.mkdir(parents=True)
    claim(paths, owner_of(one, "source 1"))  # its sync then fails

    assert machine.synced(other, "source 2") == paths.root


def test_a_folder_that_was_taken_meanwhile_is_not_claimed(machine: Machine) -> None:
    one, other = machine.manifest("one"), machine.manifest("other")
    free = machine.home(other, "source 2")
    assert machine.synced(one, "source 1") == free.root

    with pytest.raises(FolderTaken):
        claim(free, owner_of(other, "source 2"))
