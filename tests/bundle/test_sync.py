from __future__ import annotations

import os
import stat

import pytest

from aetherflow.bundle.limits import Limits
from aetherflow.bundle.snapshot import hold
from aetherflow.bundle.sync_report import read_report
from aetherflow.errors import BundleError
from tests.bundle.bundle_parts import Place

pytestmark = pytest.mark.asyncio


async def test_the_first_sync_makes_a_read_only_copy_and_activates_it(place: Place) -> None:
    synced = await place.sync()

    assert place.tree() == place.in_source()
    assert len(place.tree()) == 3
    assert place.paths.active.is_symlink()
    assert place.active == synced.report.fingerprint
    for path in place.paths.active.resolve().rglob("*"):
        assert not path.stat().st_mode & 0o222, path
    assert stat.S_IMODE((place.paths.active / "run.sh").stat().st_mode) == 0o500
    assert stat.S_IMODE((place.paths.active / "flows/hello.yaml").stat().st_mode) == 0o400
    assert (synced.report.files, synced.report.fetched, synced.report.switched) == (3, 3, True)
    assert synced.report.size == synced.report.fetched_bytes == sum(map(len, place.tree().values()))
    assert read_report(place.paths.report) == synced.report


async def test_a_sync_without_change_reads_and_switches_nothing(place: Place) -> None:
    before = (await place.sync()).report

    after = (await place.sync()).report

    assert place.reads == []
    assert (after.fetched, after.switched, after.fingerprint) == (0, False, before.fingerprint)
    assert place.snapshots() == {before.fingerprint}


async def test_only_what_changed_is_read(place: Place) -> None:
    await place.sync()
    place.write("flows/hello.yaml", "hello again")
    place.write("new.txt", "new")
    (place.source / "run.sh").unlink()

    report = (await place.sync()).report

    assert sorted(place.reads) == ["flows/hello.yaml", "new.txt"]
    assert (report.fetched, report.files, report.switched) == (2, 3, True)
    assert place.tree() == place.in_source()
    assert place.objects() > place.expected_objects(), "those of the old snapshot are kept"


async def test_the_same_content_at_another_time_is_read_and_gives_the_same_snapshot(place: Place) -> None:
    before = (await place.sync()).report
    os.utime(place.source / "run.sh", (1, 1))

    after = (await place.sync()).report

    assert place.reads == ["run.sh"]
    assert (after.fingerprint, after.switched) == (before.fingerprint, False)


async def test_going_back_activates_the_old_snapshot_again(place: Place) -> None:
    first = (await place.sync()).report
    place.write("run.sh", "another")
    await place.sync()
    place.write("run.sh", "#!/bin/sh", mode=0o755)

    report = (await place.sync()).report

    assert (report.fingerprint, report.switched) == (first.fingerprint, True)
    assert place.reads == ["run.sh"]
    assert len(place.snapshots()) == 2


async def test_equal_files_are_stored_once_and_an_executable_one_apart(place: Place) -> None:
    for number in range(5):
        place.write(f"same{number}", "same")
    place.write("tool", "same", mode=0o755)

    await place.sync()

    same = {name for name in place.objects() if (place.paths.objects / name).read_text() == "same"}
    assert len(same) == 2
    assert os.access(place.paths.active / "tool", os.X_OK)
    assert stat.S_IMODE((place.paths.active / "same0").stat().st_mode) == 0o400
    assert (await place.sync()).report.fetched == 0


async def test_a_change_of_the_execute_right_alone_counts(place: Place) -> None:
    before = (await place.sync()).report
    (place.source / "run.sh").chmod(0o644)

    after = (await place.sync()).report

    assert after.fingerprint != before.fingerprint
    assert stat.S_IMODE((place.paths.active / "run.sh").stat().st_mode) == 0o400


async def test_always_reads_everything(place: Place) -> None:
    spec = place.spec(fetch_policy="always")
    await place.sync(spec)

    report = (await place.sync(spec)).report

    assert sorted(place.reads) == sorted(place.in_source())
    assert (report.fetched, report.switched) == (3, False)


async def test_a_strict_fingerprint_sees_what_size_and_time_hide(place: Place) -> None:
    await place.sync()
    path = place.source / "flows/hello.yaml"
    before = path.stat()
    path.write_text("HELLO")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert (await place.sync()).report.switched is False
    report = (await place.sync(place.spec(strict_fingerprint=True))).report

    assert report.switched
    assert place.tree()["flows/hello.yaml"] == "HELLO"


async def test_another_folder_of_the_same_names_sizes_and_times_is_read(place: Place) -> None:
    """As two archives are unpacked whose builds are reproducible: every time is the same."""
    place.write("../other/flows/hello.yaml", "HELLO")
    for folder in (place.source, place.folder / "other"):
        for path in folder.rglob("*"):
            os.utime(path, (315_532_800, 315_532_800))
    assert (await place.sync()).report.other_source is False

    report = (await place.sync(place.spec(base_path="other"))).report

    assert place.tree() == {"flows/hello.yaml": "HELLO"}
    assert (report.other_source, report.fetched) == (True, 1)
    assert (await place.sync(place.spec(base_path="other"))).report.fetched == 0


async def test_a_link_that_leads_elsewhere_now_is_read_again(place: Place) -> None:
    place.write("../release2/flows/hello.yaml", "HELLO")
    for name in ("source/flows/hello.yaml", "release2/flows/hello.yaml"):
        os.utime(place.folder / name, (315_532_800, 315_532_800))
    link = place.folder / "current"
    link.symlink_to("source")
    spec = place.spec(base_path="current")
    await place.sync(spec)
    link.unlink()
    link.symlink_to("release2")

    await place.sync(spec)

    assert place.tree() == {"flows/hello.yaml": "HELLO"}


async def test_a_cache_that_was_written_to_is_not_used(place: Place) -> None:
    await place.sync()
    snapshot = place.active
    file = place.paths.active / "flows/hello.yaml"
    file.chmod(0o644)
    file.write_text("tampered")  # the object in the cache is the same inode

    report = (await place.sync()).report

    assert place.tree() == place.in_source()
    assert report.fingerprint == snapshot
    assert place.active.startswith(f"{snapshot}-")
    assert (await place.sync()).report.fetched == 0


async def test_a_snapshot_with_a_foreign_file_is_made_again(place: Place) -> None:
    await place.sync()
    place.paths.active.resolve().chmod(0o755)
    (place.paths.active / "foreign.txt").write_text("x")

    await place.sync()

    assert place.tree() == place.in_source()


async def test_a_lost_index_only_costs_time(place: Place) -> None:
    before = (await place.sync()).report
    place.paths.index.write_text("{half")

    after = (await place.sync()).report

    assert (after.fetched, after.fingerprint) == (3, before.fingerprint)
    assert place.tree() == place.in_source()


async def test_old_snapshots_go_when_nobody_uses_them(place: Place) -> None:
    await place.sync()
    used = hold(place.paths, place.active)
    assert used is not None
    names = [place.active]
    for number in range(6):
        place.write("run.sh", f"version {number}")
        await place.sync()
        names.append(place.active)

    assert place.snapshots() == {names[0], *names[-3:]}
    assert (used.path / "run.sh").read_text() == "#!/bin/sh"

    used.close()
    await place.sync()

    assert place.snapshots() == set(names[-3:])
    kept = {file.stat().st_ino for file in place.paths.snapshots.rglob("*") if file.is_file()}
    assert {file.stat().st_ino for file in place.paths.objects.iterdir()} == kept


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(files=2), "more than 2 files"),
        (Limits(file_bytes=8), "run.sh has 9 bytes, a file may have 8"),
        (Limits(total_bytes=10), "more than 10 bytes"),
    ],
)
async def test_a_source_beyond_a_limit_is_refused_before_anything_is_read(
    place: Place, limits: Limits, words: str
) -> None:
    with pytest.raises(BundleError, match=words) as caught:
        await place.sync(limits=limits)

    assert caught.value.code == "AF854"
    assert place.reads == []
    assert place.active == ""


async def test_leftovers_of_killed_syncs_are_removed(place: Place) -> None:
    await place.sync()
    (place.paths.objects / ".0123.part").write_text("half")
    (place.paths.root / ".active.0123").symlink_to("nowhere")
    (place.paths.cache / ".index.json.0123.part").write_text("{")
    half = place.paths.snapshots / ".0123" / "flows"
    half.mkdir(parents=True)
    (half / "x").write_text("x")
    half.chmod(0o555)

    await place.sync()

    assert place.objects() == place.expected_objects()
    assert place.snapshots() == {place.active}
    assert list(place.paths.root.rglob(".*")) == []


async def test_what_others_keep_under_a_hidden_name_is_left_alone(place: Place) -> None:
    """Some servers show a folder `.snapshot` in each of theirs, and nobody may remove it."""
    await place.sync()
    folders = (place.paths.root, place.paths.cache, place.paths.objects, place.paths.snapshots)
    for folder in folders:
        (folder / ".snapshot").mkdir()
        (folder / ".snapshot" / "hourly").touch()
    place.write("new", "new")

    await place.sync()

    assert place.tree() == place.in_source()
    assert all((folder / ".snapshot" / "hourly").exists() for folder in folders)
