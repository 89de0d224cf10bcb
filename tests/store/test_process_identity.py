from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from aetherflow.store import process_identity
from aetherflow.store.process_identity import ProcessIdentity, is_dead, this_process
from tests.store.real_parts import children

TELLER = """
import sys
import msgspec
from aetherflow.store.process_identity import this_process
print("ready", flush=True)
print(msgspec.json.encode(this_process()).decode(), flush=True)
for line in sys.stdin:
    with open("/proc/self/comm", "wb") as name:
        name.write(bytes.fromhex(line))
    print("renamed", flush=True)
"""


def test_a_living_process_is_not_dead() -> None:
    assert not is_dead(this_process())
    with children(1, TELLER) as (child,):
        other = msgspec.json.decode(child.hear(), type=ProcessIdentity)
        assert other.pid == child.process.pid
        assert other.host == this_process().host
        assert not is_dead(other)


def test_a_killed_process_is_dead_as_a_zombie_and_after_it() -> None:
    with children(1, TELLER) as (child,):
        other = msgspec.json.decode(child.hear(), type=ProcessIdentity)
        child.process.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert is_dead(other)
        child.process.wait()
        assert is_dead(other)


def test_a_process_with_a_reused_pid_is_another_one() -> None:
    mine = this_process()
    assert is_dead(msgspec.structs.replace(mine, started=str(int(mine.started) - 1)))


def test_a_process_of_another_host_is_never_known_to_be_dead() -> None:
    mine = this_process()
    assert not is_dead(ProcessIdentity(host="another-host", pid=2**22 - 1, started="1"))
    assert not is_dead(ProcessIdentity(host=f"{mine.host} another namespace", pid=2**22 - 1, started="1"))
    assert is_dead(ProcessIdentity(host=mine.host, pid=2**22 - 1, started="1"))


@pytest.mark.parametrize("name", [b"\xff\xfe", b"a) Z 1 (b", b"two words"])
def test_a_strange_process_name_does_not_matter(name: bytes) -> None:
    with children(1, TELLER) as (child,):
        other = msgspec.json.decode(child.hear(), type=ProcessIdentity)
        child.tell(name.hex())
        assert child.hear() == "renamed"
        assert not is_dead(other)
        assert is_dead(msgspec.structs.replace(other, started="1"))


def test_a_living_process_that_the_kernel_hides_is_not_taken_for_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with a /proc that is mounted with hidepid, for the processes of another user."""
    mine = this_process()
    monkeypatch.setattr(process_identity, "_stat", lambda _: None)
    assert not is_dead(mine)
    assert is_dead(msgspec.structs.replace(mine, pid=2**22 - 1))


def test_an_owner_says_when_its_process_started() -> None:
    before = datetime.now(UTC)
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            "from aetherflow.store.process_identity import this_process as p; print(p().started_at)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    started = datetime.fromisoformat(child.stdout.strip())
    assert before - timedelta(seconds=3) < started < datetime.now(UTC) + timedelta(seconds=1)
    assert this_process() == this_process()


def test_an_owner_is_reported_by_process_and_host() -> None:
    assert (
        str(ProcessIdentity(host="db01 0123-boot pid:[4026531836]", pid=77, started="5"))
        == "process 77 on db01"
    )
