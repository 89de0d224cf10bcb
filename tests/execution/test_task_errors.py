"""One error out of a task group comes out as itself; several stay a group, and a cancellation passes."""

from __future__ import annotations

import anyio
import pytest

from aetherflow.task_errors import one_error


async def fail(error: BaseException) -> None:
    raise error


@pytest.mark.asyncio
@pytest.mark.parametrize("where", ["block", "task"])
async def test_a_single_error_is_raised_as_it_is_with_its_cause(where: str) -> None:
    cause = KeyError("cause")
    error = ValueError("only")
    error.__cause__ = cause

    async def work() -> None:
        async with one_error() as tasks:
            if where == "block":
                raise error
            tasks.start_soon(fail, error)
            await anyio.sleep_forever()

    with pytest.raises(ValueError, match="only") as caught:
        await work()
    assert caught.value is error
    assert error.__cause__ is cause
    assert not isinstance(error.__context__, BaseExceptionGroup)


@pytest.mark.asyncio
async def test_several_errors_stay_together() -> None:
    async def work() -> None:
        async with one_error() as tasks:
            tasks.start_soon(fail, ValueError("a"))
            tasks.start_soon(fail, KeyError("b"))

    with pytest.raises(ExceptionGroup) as caught:
        await work()
    assert {type(error) for error in caught.value.exceptions} == {ValueError, KeyError}


@pytest.mark.asyncio
async def test_a_group_that_the_block_itself_raises_is_not_taken_apart() -> None:
    mine = ExceptionGroup("mine", [ValueError("a"), ValueError("b")])
    with pytest.raises(ExceptionGroup) as caught:
        async with one_error():
            raise mine
    assert caught.value is mine


@pytest.mark.asyncio
async def test_a_cancellation_ends_the_group_and_passes() -> None:
    ended = False
    with anyio.CancelScope() as scope:
        async with one_error() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            scope.cancel()
            await anyio.sleep_forever()
        ended = True
    assert scope.cancelled_caught
    assert not ended
