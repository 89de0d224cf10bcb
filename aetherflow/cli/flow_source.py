"""Find the flow that a command works on: a file, or a flow of a bundle, which is synced first."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from aetherflow import exit_codes
from aetherflow.cli.printing import print_note
from aetherflow.errors import BundleError, UsageError
from aetherflow.runs.load_flow import CheckedFlow, load_checked_flow

if TYPE_CHECKING:
    from aetherflow.runs.bundle_in_use import OpenBundle


class FlowSource(msgspec.Struct, frozen=True):
    """The flow that a command works on: a file or, with a manifest, a flow of a bundle."""

    flow: Path
    manifest: Path | None = None
    allow_stale: bool = False

    @contextmanager
    def in_use(self, *, warn: bool = True) -> Iterator[tuple[Path, OpenBundle | None]]:
        """Give the file, and the bundle that it is in, which is synced first and kept for the block.

        Raises:
            AetherFlowError: there is no such bundle, or no such flow in it.
        """
        if self.manifest is None:
            yield self.flow, None
            return
        with bundle_in_use(self.manifest, allow_stale=self.allow_stale, warn=warn) as bundle:
            yield bundle.flow_file(self.flow), bundle

    def load_checked_flow(self) -> CheckedFlow:
        """Load and check it; a bundle is synced first.

        Raises:
            AetherFlowError: it cannot be read.
        """
        try:
            with self.in_use() as (file, bundle):
                return load_checked_flow(file, os.environ, bundle)
        except BundleError as error:  # nothing ran that could have failed: 2, as for any other diagnostic
            raise UsageError(error.message, hint=error.hint, code=error.code) from None

    def __str__(self) -> str:
        return str(self.flow if self.manifest is None or self.flow.name else self.manifest)


def flow_source(
    argument: Path | None, option: Path | None, manifest: Path | None, *, allow_stale: bool
) -> FlowSource:
    """Return the flow that a command line names: as FLOW, by --flow-yaml, or as the entry of a bundle.

    Raises:
        UsageError: it names none, or more than one.
    """
    if allow_stale and manifest is None:
        raise UsageError("--allow-stale-bundle belongs to --bundle-manifest FILE")
    if manifest is not None and argument is None and option is None:
        return FlowSource(Path(), manifest, allow_stale)
    return FlowSource(one_flow(argument, option), manifest, allow_stale)


def one_flow(argument: Path | None, option: Path | None) -> Path:
    """Return the flow file that a command line names, as FLOW or by --flow-yaml.

    Raises:
        UsageError: it names none, or two.
    """
    if argument is not None and option is None:
        return argument
    if option is not None and argument is None:
        return option
    raise UsageError(
        "name one flow file: FLOW, or --flow-yaml FLOW", hint="aetherflow init writes a first flow"
    )


@contextmanager
def bundle_in_use(manifest: Path, *, allow_stale: bool, warn: bool = True) -> Iterator[OpenBundle]:
    """Sync a bundle and keep its snapshot for the block; with `warn`, say so if it may be stale.

    Raises:
        AetherFlowError: there is nothing to work with.
    """
    # A flow that is a file needs none of this.
    from functools import partial  # noqa: PLC0415

    import anyio  # noqa: PLC0415

    from aetherflow.runs.bundle_sync import open_bundle  # noqa: PLC0415
    from aetherflow.runs.start_notices import stale_sentence  # noqa: PLC0415

    with anyio.run(partial(open_bundle, manifest, os.environ, allow_stale=allow_stale)) as bundle:
        if bundle.stale and warn:
            print_note(f"warning[AF866]: {stale_sentence(bundle.id, bundle.fingerprint, bundle.stale)}")
        yield bundle


def runnable_flow(command: str, flow: FlowSource, *, as_json: bool) -> CheckedFlow:
    """Return a flow whose jobs are right; errors of its resources are for the command to show.

    Raises:
        AetherFlowError: the flow cannot be examined; with `as_json` the command has printed why, and ends.
    """
    from aetherflow.cli.report import failure_as_json  # noqa: PLC0415 - `run` does not need it

    with failure_as_json(command, str(flow), as_json=as_json, exit_code=exit_codes.INVALID):
        checked = flow.load_checked_flow()
        if checked.flow_errors:
            checked.raise_if_invalid()
    return checked
