"""Which bundle a run takes its flow from: a part of its events."""

from __future__ import annotations

import msgspec


class BundleUse(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The bundle from which a run takes its flow.

    Attributes:
        id: as its manifest names it.
        fingerprint: of all its files, as they were then.
        manifest: the absolute path of the manifest.
        flow: the flow file, relative to the root of the bundle.
        stale: why the bundle could not be synced, and the last snapshot was used; empty if it was synced.
    """

    id: str
    fingerprint: str
    manifest: str
    flow: str
    stale: str = ""
