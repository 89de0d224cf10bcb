"""Plugins beside the entry points of steps and connectors: plugin paths, and wheels of the old kind."""
