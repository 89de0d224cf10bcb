"""The strategy `atomic_dir`: the program writes to a temporary folder, which becomes the final one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from aetherflow.errors import StepError
from aetherflow.sdk.removal import make_own
from aetherflow.steps.output_folder import OutputFolder
from aetherflow.testing import FakeClock
from tests.steps.process_context import files_below, process_context, sh

ATOMIC = {"strategy": "atomic_dir", "temp_output_dir": "tmp/out", "final_output_dir": "final"}
WRITE = 'echo new > "$AETHERFLOW_OUTPUT_DIR/data.txt"; '


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.asyncio
async def test_the_output_appears_when_the_program_has_succeeded(tmp_path: Path, *, replace: bool) -> None:
    context = process_context(tmp_path)
    idempotency = {**ATOMIC, "atomic_rename": replace}
    await sh(context, WRITE + "test ! -e final; mkdir $AETHERFLOW_OUTPUT_DIR/d", idempotency=idempotency)
    assert files_below(context.artifacts / "final") == {"data.txt": "new\n"}
    assert (context.artifacts / "final" / "d").is_dir()
    assert not (context.artifacts / "tmp" / "out").exists()


@pytest.mark.asyncio
async def test_the_old_output_is_replaced_as_a_whole(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    final = context.artifacts / "final"
    final.mkdir()
    (final / "old.txt").write_text("old\n")
    await sh(context, WRITE + "test -e final/old.txt", idempotency=ATOMIC)
    assert files_below(context.artifacts) == {"final/data.txt": "new\n"}


@pytest.mark.asyncio
async def test_without_atomic_rename_the_files_are_merged_into_the_old_output(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    final = context.artifacts / "final"
    (final / "d").mkdir(parents=True)
    (final / "old.txt").write_text("old\n")
    (final / "data.txt").write_text("old\n")
    (final / "d" / "kept").write_text("old\n")
    script = WRITE + 'mkdir "$AETHERFLOW_OUTPUT_DIR/d"; echo new > "$AETHERFLOW_OUTPUT_DIR/d/added"'
    await sh(context, script, idempotency={**ATOMIC, "atomic_rename": False})
    assert files_below(context.artifacts) == {
        "final/old.txt": "old\n",
        "final/data.txt": "new\n",
        "final/d/kept": "old\n",
        "final/d/added": "new\n",
    }


@pytest.mark.parametrize(
    ("script", "success"),
    [
        ("exit 1", {}),
        ("true", {"require_files": "final/missing"}),
        ("true", {"forbid_files": "final/data.txt"}),
    ],
)
@pytest.mark.asyncio
async def test_a_failure_leaves_the_old_output_as_it_was(
    tmp_path: Path, script: str, success: dict[str, Any]
) -> None:
    context = process_context(tmp_path)
    final = context.artifacts / "final"
    final.mkdir()
    (final / "missing").write_text("only the old output has it\n")
    with pytest.raises(StepError):
        await sh(context, WRITE + script, idempotency=ATOMIC, success=success)
    assert files_below(final) == {"missing": "only the old output has it\n"}


@pytest.mark.asyncio
async def test_checks_may_name_the_output_by_either_folder(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    success = {"require_files": ["final/data.txt", "tmp/out/data.txt"], "require_glob": "final/*.txt"}
    assert (await sh(context, WRITE, idempotency=ATOMIC, success=success))["exit_code"] == 0


@pytest.mark.asyncio
async def test_merged_output_is_checked_together_with_what_is_there(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    (context.artifacts / "final").mkdir()
    (context.artifacts / "final" / "old.txt").write_text("old")
    success = {"require_files": ["final/data.txt", "final/old.txt"]}
    outputs = await sh(context, WRITE, idempotency={**ATOMIC, "atomic_rename": False}, success=success)
    assert outputs["exit_code"] == 0


@pytest.mark.asyncio
async def test_every_attempt_begins_with_an_empty_folder(tmp_path: Path) -> None:
    context = process_context(tmp_path, clock=FakeClock())
    left = context.artifacts / "tmp/out"
    make_own(left, "private")
    (left / "from a crash").write_text("x")
    script = 'echo x >> tries; touch "$AETHERFLOW_OUTPUT_DIR/try$(wc -l < tries)"; test $(wc -l < tries) = 2'
    await sh(context, script, idempotency=ATOMIC, retry={"max_attempts": 2})
    assert sorted(files_below(context.artifacts / "final")) == ["try2"]


@pytest.mark.parametrize(("temporary", "final"), [("a", "a"), ("a/b", "a"), ("a", "a/b")])
@pytest.mark.asyncio
async def test_the_folders_must_not_contain_each_other(tmp_path: Path, temporary: str, final: str) -> None:
    idempotency = {"strategy": "atomic_dir", "temp_output_dir": temporary, "final_output_dir": final}
    with pytest.raises(StepError, match="must not contain each other"):
        await sh(process_context(tmp_path), "true", idempotency=idempotency)


@pytest.mark.parametrize(
    "program", ['rm -r "$AETHERFLOW_OUTPUT_DIR"', 'mv "$AETHERFLOW_OUTPUT_DIR" elsewhere']
)
@pytest.mark.asyncio
async def test_a_program_that_takes_its_output_folder_away_is_named(tmp_path: Path, program: str) -> None:
    with pytest.raises(StepError, match="the program has deleted or moved temp_output_dir") as raised:
        await sh(process_context(tmp_path), program, idempotency=ATOMIC)
    assert raised.value.code == "AF735"
    assert "filesystem" not in raised.value.hint


@pytest.mark.asyncio
async def test_an_output_folder_that_cannot_be_replaced_is_an_error(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    (context.artifacts / "file").write_text("x")
    with pytest.raises(StepError, match="cannot move the output") as raised:
        await sh(context, WRITE, idempotency={**ATOMIC, "final_output_dir": "file/final"})
    assert (raised.value.code, "one filesystem" in raised.value.hint) == ("AF735", True)


@pytest.mark.asyncio
async def test_a_final_folder_that_is_a_link_is_refused_and_its_target_kept(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    target = context.artifacts / "elsewhere"
    target.mkdir()
    (target / "kept").write_text("kept\n")
    (context.artifacts / "final").symlink_to(target)
    with pytest.raises(StepError, match=r"final_output_dir .* is a symbolic link") as raised:
        await sh(context, WRITE, idempotency=ATOMIC)
    assert raised.value.code == "AF756"
    assert (context.artifacts / "final").readlink() == target
    assert files_below(context.artifacts) == {"elsewhere/kept": "kept\n"}


def folder_with(root: Path, **contents: str) -> OutputFolder:
    """Make the named folders, each with one file, and return an OutputFolder over them."""
    for name, text in contents.items():
        folder = root / {"temporary": "tmp", "final": "final", "aside": ".final.replaced"}[name]
        if name == "final":
            folder.mkdir()
        else:
            make_own(folder, "private")
        (folder / "file").write_text(text)
    return OutputFolder(root / "tmp", root / "final")


def test_a_crash_between_the_two_renames_is_undone(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, temporary="new", aside="old")
    folder.prepare()
    assert files_below(tmp_path / "final") == {"file": "old"}
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_crash_before_the_old_output_was_deleted_is_finished(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, final="new", aside="old")
    folder.prepare()
    assert files_below(tmp_path / "final") == {"file": "new"}
    assert not (tmp_path / ".final.replaced").exists()


def test_when_the_new_output_cannot_be_moved_the_old_one_comes_back(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, temporary="new", final="old")
    shutil.rmtree(tmp_path / "tmp")
    with pytest.raises(StepError, match="has deleted or moved"):
        folder.publish()
    assert files_below(tmp_path / "final") == {"file": "old"}
    assert not (tmp_path / ".final.replaced").exists()


# ---- what atomic_dir refuses: before the program runs, and nothing has changed


def precious(folder: Path) -> dict[str, str]:
    """Make a folder with precious files below the artifacts, and return what is in it."""
    for name in ("file", ".hidden", "deep/er/file"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"precious {name}")
    (folder / "read-only").write_text("precious")
    (folder / "read-only").chmod(0o444)
    return files_below(folder)


@pytest.mark.parametrize(
    ("temporary", "final", "why"),
    [
        (".", "{out}/final", "is a folder of the job"),
        ("{artifacts}", "{out}/final", "is a folder of the job"),
        ("{artifacts}/..", "o", "has `..` in it"),
        ("t", "{artifacts}/../../x", "has `..` in it"),
        ("{job}", "o", "is a folder of the job"),
        ("{work}", "o", "is a folder of the job, or has one in it"),
        ("/", "o", "is a folder of the job, or has one in it"),
        ("t", ".", "is a folder of the job"),
        ("{out}", "o", "is not below a folder of the job"),
        ("t", "{out}", "is not below a folder of the job"),
        ("t", "{out}/new", "is not below a folder of the job"),
        ("..", "o", "leaves the job's artifacts folder"),
        ("../../other", "o", "leaves the job's artifacts folder"),
        ("precious/file", "o", "is no folder"),
        ("t", "precious/file", "is no folder"),
        ("link", "o", "leaves the job's artifacts folder"),
        ("t", "link/x", "leaves the job's artifacts folder"),
        ("inner", "o", "is a symbolic link"),
        ("t", "inner", "is a symbolic link"),
        ("precious", "o", "was not made by AetherFlow"),
        ("precious/deep", "o", "was not made by AetherFlow"),
        ("t/u", "t", "must not contain each other"),
    ],
)
@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.asyncio
async def test_what_is_no_folder_of_the_step_is_refused_and_nothing_changes(
    tmp_path: Path, temporary: str, final: str, why: str, *, replace: bool
) -> None:
    context = process_context(tmp_path)
    artifacts, out = context.artifacts, tmp_path / "out"
    before = precious(artifacts / "precious"), precious(out)
    (artifacts / "link").symlink_to(out)
    (artifacts / "inner").symlink_to("precious")
    places = {"out": out, "artifacts": artifacts, "job": context.directory(""), "work": tmp_path / "work"}
    idempotency = {
        "strategy": "atomic_dir",
        "temp_output_dir": temporary.format(**places),
        "final_output_dir": final.format(**places),
        "atomic_rename": replace,
    }
    names = sorted(path.name for path in artifacts.iterdir())
    with pytest.raises(StepError, match=why) as raised:
        await sh(context, "touch started; false", idempotency=idempotency)
    assert raised.value.hint
    assert (files_below(artifacts / "precious"), files_below(out)) == before
    assert sorted(path.name for path in artifacts.iterdir()) == names


@pytest.mark.asyncio
async def test_another_place_can_be_a_folder_of_the_job(tmp_path: Path) -> None:
    context = process_context(tmp_path, layout={"share": str(tmp_path / "share")})
    idempotency = {
        "strategy": "atomic_dir",
        "temp_output_dir": str(tmp_path / "share/today.tmp"),
        "final_output_dir": str(tmp_path / "share/today"),
    }
    await sh(context, WRITE, idempotency=idempotency)
    assert files_below(tmp_path / "share") == {"today/data.txt": "new\n"}


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.asyncio
async def test_what_the_program_puts_in_the_place_of_the_folders_is_refused(
    tmp_path: Path, *, replace: bool
) -> None:
    context = process_context(tmp_path)
    before = precious(tmp_path / "out")
    idempotency = {**ATOMIC, "atomic_rename": replace}
    with pytest.raises(StepError, match=r"final_output_dir .* is a symbolic link"):
        await sh(context, f"{WRITE} ln -s {tmp_path}/out final", idempotency=idempotency)
    (context.artifacts / "final").unlink()
    with pytest.raises(StepError, match=r"final_output_dir .* is no folder"):
        await sh(context, f"{WRITE} echo mine > final", idempotency=idempotency)
    assert files_below(tmp_path / "out") == before
    assert (context.artifacts / "final").read_text() == "mine\n"
    assert (context.artifacts / "tmp/out/data.txt").read_text() == "new\n"


@pytest.mark.asyncio
async def test_merging_follows_no_link_and_replaces_no_folder(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    before = precious(tmp_path / "out")
    final = context.artifacts / "final"
    final.mkdir()
    idempotency = {**ATOMIC, "atomic_rename": False}
    for name in ("sub", "file"):
        (final / name).symlink_to(tmp_path / "out")
    with pytest.raises(StepError, match="a folder and a file have the same name"):
        await sh(context, 'cd "$AETHERFLOW_OUTPUT_DIR"; mkdir sub; touch sub/file', idempotency=idempotency)
    (final / "sub").unlink()
    (final / "sub").mkdir()
    (final / "sub" / "mine").write_text("mine")
    with pytest.raises(StepError, match="a folder and a file have the same name"):
        await sh(context, 'touch "$AETHERFLOW_OUTPUT_DIR/sub"', idempotency=idempotency)
    await sh(context, 'echo new > "$AETHERFLOW_OUTPUT_DIR/file"', idempotency=idempotency)
    assert files_below(final) == {"file": "new\n", "sub/mine": "mine"}
    assert files_below(tmp_path / "out") == before


@pytest.mark.parametrize("has_final", [True, False])
@pytest.mark.asyncio
async def test_a_folder_beside_the_final_one_that_is_not_ours_stays(
    tmp_path: Path, *, has_final: bool
) -> None:
    context = process_context(tmp_path)
    if has_final:
        (context.artifacts / "final").mkdir()
    before = precious(context.artifacts / ".final.replaced")
    with pytest.raises(StepError, match="was not made by AetherFlow") as raised:
        await sh(context, WRITE, idempotency=ATOMIC)
    assert raised.value.code == "AF757"
    assert files_below(context.artifacts / ".final.replaced") == before
    assert (context.artifacts / "final").exists() == has_final


@pytest.mark.asyncio
async def test_the_final_folder_keeps_its_mode(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    final = context.artifacts / "final"
    final.mkdir()
    final.chmod(0o750)
    for _ in range(2):
        await sh(context, WRITE, idempotency=ATOMIC)
        assert final.stat().st_mode & 0o777 == 0o750
    assert sorted(path.name for path in context.artifacts.iterdir()) == ["final", "tmp"]
    assert list((context.artifacts / "tmp").iterdir()) == []


@pytest.mark.parametrize("atomic_rename", [True, False])
@pytest.mark.asyncio
async def test_the_size_of_new_output_counts_and_old_output_stays(
    tmp_path: Path, *, atomic_rename: bool
) -> None:
    context = process_context(tmp_path)
    final = context.artifacts / "final"
    final.mkdir()
    (final / "data.txt").write_text("a good backup\n")
    with pytest.raises(StepError, match=r"tmp/out/data\.txt has 4 bytes, less than min_size: 5"):
        await sh(
            context,
            WRITE,
            idempotency={**ATOMIC, "atomic_rename": atomic_rename},
            success={"require_files": "final/data.txt", "min_size": 5},
        )
    assert files_below(final) == {"data.txt": "a good backup\n"}
