"""Run plugins written for AetherFlow 0.0 unchanged; they import from `aetherflow.core.api`."""
