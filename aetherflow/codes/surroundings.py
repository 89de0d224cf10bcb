"""AF8xx: what is around a run: observers, bundles."""

from __future__ import annotations

from aetherflow.codes.entry import Entry

ENTRIES = {
    "AF810": Entry(
        "An observer, or the command itself, cannot write its output any more.",
        "aetherflow run flow.yaml --events /full/disk.jsonl",
        "Make room, or write elsewhere; the run itself goes on without that observer.",
    ),
}
