"""What becomes of a file whose name is in use."""

from __future__ import annotations

from typing import Any

import pytest

from aetherflow.errors import StepError
from aetherflow.sdk.remote_files import RemoteEntry
from aetherflow.transfer.overwrite import decide


def decided(overwrite: Any, size: int | None, mtime: float | None, *, exact: bool = False) -> str:
    there = RemoteEntry("/in/a", 5, 100.7)
    return decide(overwrite, size=size, mtime=mtime, there=there, exact_time=exact)


def test_a_free_name_is_taken_whatever_the_policy() -> None:
    for policy in ("always", "never", "if_newer", "if_different", "fail"):
        assert decide(policy, size=1, mtime=1, there=None, exact_time=False) == "send"


@pytest.mark.parametrize(
    ("overwrite", "size", "mtime", "exact", "expected"),
    [
        ("always", 5, 100.7, False, "send"),
        ("never", 9, 900, False, "exists"),
        ("if_newer", 5, 101, False, "send"),
        ("if_newer", 9, 100.2, False, "older"),  # whole seconds: it is of the same second
        ("if_newer", 9, None, False, "send"),
        ("if_newer", 5, None, False, "older"),
        ("if_different", 5, 50, False, "same"),  # what is there is younger: it may be a copy
        ("if_different", 5, 50, True, "send"),
        ("if_different", 5, 100, True, "same"),
        ("if_different", 5, 101, False, "send"),
        ("if_different", 6, 50, False, "send"),
        ("if_different", 5, None, True, "same"),
    ],
)
def test_a_name_in_use_is_decided_by_size_and_time(
    overwrite: str,
    size: int,
    mtime: float | None,
    exact: bool,  # noqa: FBT001 - of the test
    expected: str,
) -> None:
    assert decided(overwrite, size, mtime, exact=exact) == expected


def test_fail_and_a_folder_are_errors() -> None:
    with pytest.raises(StepError, match="/in/a exists") as refused:
        decided("fail", 5, 100)
    assert refused.value.code == "AF315"
    folder = RemoteEntry("/in/a", is_dir=True)
    with pytest.raises(StepError, match="a folder has the name"):
        decide("always", size=5, mtime=1, there=folder, exact_time=False)
