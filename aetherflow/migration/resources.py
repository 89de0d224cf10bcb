"""The rule about options of resources: 0.0 took any text that is not empty for true."""

from __future__ import annotations

from collections.abc import Iterator

from yaml.nodes import MappingNode, ScalarNode

from aetherflow.migration.difference import Change, changed
from aetherflow.migration.old_file import OldFile, entries, get, old_value, replaced

TRUTH = frozenset(
    {"pre_ping", "pool_pre_ping", "read_only", "enabled", "pool_enabled", "verify_ssl", "starttls", "quiet"}
)
"""The keys of the connectors of 0.0 that were true or false."""


def resource_changes(old: OldFile) -> Iterator[Change]:
    """Write texts as truth values where 0.0 took them for such."""
    for _, resource in entries(get(old.root, "resources")).values():
        for section in ("config", "options"):
            yield from _texts(old, get(resource, section))


def _texts(old: OldFile, node: object) -> Iterator[Change]:
    if not isinstance(node, MappingNode):
        return
    for name, (_, value) in entries(node).items():
        text = old_value(value) if isinstance(value, ScalarNode) else None
        if name in TRUTH and isinstance(text, str) and "{{" not in text:
            written = "true" if text else "false"
            there = f"{name!r} is {written} for {old.source(value)}: any text is true"
            yield changed(
                value, "AF180", there, "it takes true or false", written, replaced(old, value, written)
            )
        yield from _texts(old, value)
