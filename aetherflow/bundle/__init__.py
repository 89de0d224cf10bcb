"""Bundles: flows and their files, copied from a source into a local, read-only snapshot."""
