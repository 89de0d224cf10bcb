"""Wrap a bundle source: check what it lists, and turn each exception of its plugin into a BundleError."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import cast

import anyio

from aetherflow.bundle.limits import Limits
from aetherflow.bundle.path_rules import FileNames
from aetherflow.bundle.source import BundleFile, BundleSource, SourceInterrupted
from aetherflow.errors import AetherFlowError, BundleError, StepError
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.sdk.step_failure import describe

CLOSE_SECONDS = 10.0
"""How long a source may take to close."""

OpenSource = Callable[[], Awaitable[BundleSource]]


class OpenedSource:
    """An open source whose files and errors are checked.

    Attributes:
        place: where its files really are, for instance behind links, if the source knows.
    """

    def __init__(self, kind: str, source: BundleSource) -> None:
        self._kind = kind
        self._source = source
        self.place = source.place

    async def list_files(self, limits: Limits) -> dict[str, BundleFile]:
        """Return the files by path.

        Raises:
            BundleError: they cannot be listed, are too many or too large, or are not allowed in a bundle.
        """
        names, files, total = FileNames(), dict[str, BundleFile](), 0
        with _errors_named(self._kind, "the source", "be listed"):
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
            SourceChanged: the file changed since it was listed.
            BundleError: the file cannot be read.
        """
        # an exception of the consumer is raised at its own `async for`, not at this `yield`
        with _errors_named(self._kind, file.path, "be read from the source"):
            async with aclosing(cast("AsyncGenerator[object]", self._source.read(file))) as chunks:
                async for chunk in chunks:
                    if not isinstance(chunk, bytes | bytearray | memoryview):
                        raise TypeError(f"read() yielded {type(chunk).__name__}, not bytes")
                    try:
                        yield bytes(chunk)
                    except GeneratorExit:  # the consumer needs no more: no error of the source
                        return


@asynccontextmanager
async def opened(kind: str, open_source: OpenSource) -> AsyncIterator[OpenedSource]:
    """Open a source of type `kind`, and close it at the end.

    Raises:
        BundleError: the source cannot be opened or closed.
    """
    with _errors_named(kind, "the source", "be opened"):
        source = await open_source()
    try:
        yield OpenedSource(kind, source)
    except BaseException:
        with suppress(BundleError):  # the first error says more
            await _close(kind, source)
        raise
    await _close(kind, source)


async def _close(kind: str, source: BundleSource) -> None:
    with _errors_named(kind, "the source", "be closed"):
        with anyio.move_on_after(CLOSE_SECONDS, shield=True) as closing:
            await source.aclose()
        if closing.cancelled_caught:
            raise TimeoutError(f"it took longer than {CLOSE_SECONDS:g} s")


@contextmanager
def _errors_named(kind: str, what: str, do: str) -> Iterator[None]:
    """Turn every exception of the block into an error of AetherFlow.

    Raises:
        BundleError: the source raised an exception; the message says what failed.
    """
    try:
        yield
    except StepError as error:  # raised by the source's connector
        failed = SourceInterrupted if error.kind in {"connection", "timeout"} else BundleError
        raise failed(f"the source: {error.message}", hint=error.hint, code=error.code) from None
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
