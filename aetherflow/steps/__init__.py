"""The step types that are built into the engine."""
