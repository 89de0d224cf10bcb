"""What runs beside a program on another host, with the `sh` of this one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from aetherflow.process.remote_script import END, GUARD, STARTER, RemoteCommand, process_group, script_of


@pytest.mark.parametrize("has_session", [True, False], ids=["a session of its own", "the group of others"])
@pytest.mark.parametrize("has_ps", [True, False], ids=["with ps", "without ps"])
def test_the_guard_ends_the_program_also_where_the_host_has_no_ps(
    tmp_path: Path, *, has_session: bool, has_ps: bool
) -> None:
    for name in ("sleep", *(["ps"] if has_ps else [])):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    env = {"PATH": str(tmp_path)}
    program = subprocess.Popen(
        ["/bin/sh", "-c", STARTER],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=has_session,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    group = process_group(program.stdout.readline().rstrip(b"\n"))
    assert group == (f"{program.pid}" if has_ps and not has_session else f"-{program.pid}")
    program.stdin.write(script_of(RemoteCommand(("sleep", "300"))))
    program.stdin.close()

    guard = subprocess.run(
        ["/bin/sh", "-c", GUARD],
        env=env,
        input=f"{group} 5\n".encode() + END,
        capture_output=True,
        check=False,
    )

    assert guard.stdout == b"ready\n"
    assert program.wait(timeout=30) < 0
    program.stdout.close()


@pytest.mark.parametrize("name", ["A-B", "1A", "", "A=B", "A;rm"])
def test_a_name_that_a_shell_cannot_set_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="has a name that a shell cannot set"):
        script_of(RemoteCommand(("true",), environment={name: "x"}))


def test_a_null_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="null byte"):
        script_of(RemoteCommand(("echo", "a\0b")))
