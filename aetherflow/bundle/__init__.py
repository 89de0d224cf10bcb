"""Bundles: flows and what belongs to them, brought from a source into a local, read-only snapshot."""
