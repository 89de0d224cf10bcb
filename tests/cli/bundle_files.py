"""A bundle for the tests of the command line: a manifest, two flows and the file that they print."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command_line import CommandLine

MANIFEST = """
version: 1
bundle:
  id: demo
  source: {type: filesystem, base_path: share}
  entry_flow: hello.yaml
"""
HELLO = """
version: 1
flow: {id: hello}
jobs:
  - id: a
    steps:
      - {id: s, type: external.process, inputs: {command: [cat, "{{env.AETHERFLOW_ACTIVE_DIR}}/data.txt"]}}
"""
OTHER = HELLO.replace("id: hello", "id: other")
OPTION = ("--bundle-manifest", "bundle.yaml")


def with_bundle(cli: CommandLine) -> CommandLine:
    """Write the manifest and its source into the folder of the command line."""
    cli.write("bundle.yaml", MANIFEST)
    cli.write("share/flows/hello.yaml", HELLO)
    cli.write("share/flows/other.yaml", OTHER)
    cli.write("share/data.txt", "first\n")
    return cli


def root(cli: CommandLine) -> Path:
    """Return the folder where the bundle is kept."""
    return cli.state.parent / "work" / "bundles" / "demo"
