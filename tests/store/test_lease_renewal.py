"""A lease that is held while a block runs: its renewal, and a release that takes too long."""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import pytest

from aetherflow.clock import SystemClock
from aetherflow.errors import StateError
from aetherflow.store import lease_renewal


async def always() -> bool:
    return True


async def never() -> bool:
    await anyio.sleep_forever()
    return True


def lost() -> Exception:
    return AssertionError("it was not lost")


@pytest.mark.asyncio
async def test_a_release_that_does_not_end_in_time_is_an_error_of_the_database(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lease_renewal, "SHIELD_SECONDS", 0.05)
    with pytest.raises(StateError, match="could not be released in time") as failure, anyio.fail_after(30):
        async with lease_renewal.renewing(SystemClock(), 60, renew=always, release=never, lost=lost):
            raise ValueError("of the block")
    assert isinstance(failure.value.__cause__, ValueError)


@pytest.mark.asyncio
async def test_a_lease_that_was_released_in_time_lets_the_error_of_the_block_through() -> None:
    with pytest.raises(ValueError, match="of the block"):
        async with lease_renewal.renewing(SystemClock(), 60, renew=always, release=always, lost=lost):
            raise ValueError("of the block")


@pytest.mark.asyncio
async def test_a_renewal_has_begun_when_the_block_does() -> None:
    """Else a step that cancels every task leaves a coroutine that nothing has awaited, which warns."""
    renewed: list[bool] = []

    async def renew() -> bool:
        renewed.append(True)
        return True

    before = asyncio.all_tasks()
    async with lease_renewal.renewing(SystemClock(), 60, renew=renew, release=always, lost=lost):
        (renewal,) = asyncio.all_tasks() - before
        renewal.cancel()
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        assert renewal.cancelled()
    assert not renewed
