"""Wrap a bundle source: check what it lists, and turn each exception of its plugin into a BundleError."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import cast

import anyio

from aetherflow.bundle.limits import Limits
from aetherflow.bundle.path_rules import Names
from aetherflow.bundle.source import BundleFile, BundleSource
from aetherflow.errors import AetherFlowError, BundleError, StepError
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.sdk.step_failure import describe

CLOSE_SECONDS = 10.0
"""How long a source may take to close."""

OpenSource = Callable[[], Awaitable[BundleSource]]


class OpenedSource:
    """A source, with what it lists checked.

    Attributes:
        place: where its files really are, if the source knows.
    """

    def __init__(self, kind: str, source: BundleSource) -> None:
        self._kind = kind
        self._source = source
        self.place = source.place

    async def list_files(self, limits: Limits) -> dict[str, BundleFile]:
        """Return the files by path.

        Raises:
            BundleError: they cannot be listed, are too many or too large, or may not be in a bundle.
        """
        names, files, total = Names(), dict[str, BundleFile](), 0
        with _border(self._kind, "the source", "be listed"):
            async with aclosing(cast("AsyncGenerator[object]", self._source.list())) as listing:
                async for file in listing:
                    if not isinstance(file, BundleFile):
                        raise TypeError(f"list() yielded {type(file).__name__}, not BundleFile")
                    total += file.size
                    limits.check(len(files) + 1, file, total)
                    names.add(file.path)
                    files[file.path] = file
        return files

    async def read(self, file: BundleFile) -> AsyncGenerator[bytes]:
        """Yield the content of a file.

        Raises:
            SourceChanged: it changed since it was listed.
            BundleError: it cannot be read.
        """
        # what the consumer of a piece raises does not pass through here
        with _border(self._kind, file.path, "be read from the source"):
            async with aclosing(cast("AsyncGenerator[object]", self._source.read(file))) as chunks:
                async for chunk in chunks:
                    if not isinstance(chunk, bytes | bytearray | memoryview):
                        raise TypeError(f"read() yielded {type(chunk).__name__}, not bytes")
                    yield bytes(chunk)


@asynccontextmanager
async def opened(kind: str, open_source: OpenSource) -> AsyncIterator[OpenedSource]:
    """Open the source of a type, and close it at the end.

    Raises:
        BundleError: it cannot be opened or closed.
    """
    with _border(kind, "the source", "be opened"):
        source = await open_source()
    try:
        yield OpenedSource(kind, source)
    except BaseException:
        with suppress(BundleError):  # the first error says more
            await _close(kind, source)
        raise
    await _close(kind, source)


async def _close(kind: str, source: BundleSource) -> None:
    with _border(kind, "the source", "be closed"):
        with anyio.move_on_after(CLOSE_SECONDS, shield=True) as closing:
            await source.aclose()
        if closing.cancelled_caught:
            raise TimeoutError(f"it took longer than {CLOSE_SECONDS:g} s")


@contextmanager
def _border(kind: str, what: str, do: str) -> Iterator[None]:
    """Turn whatever the block raises into an error of AetherFlow.

    Raises:
        BundleError: the source raised something; the message says what failed.
    """
    try:
        yield
    except StepError as error:  # of its connector
        raise BundleError(f"the source: {error.message}", hint=error.hint, code=error.code) from None
    except AetherFlowError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error) or type(error).__name__).lower()
        raise BundleError(f"{what} cannot {do}: {reason}", hint="look at the source", code="AF856") from None
    except BaseException as error:
        if is_our_cancellation(error):
            raise
        described = describe(error)
        where = described.hint.partition("; --debug")[0]
        message = f"{what} (type {kind}) cannot {do}: {described.message}"
        raise BundleError(message, hint=where or "report it to the author of the source") from error
