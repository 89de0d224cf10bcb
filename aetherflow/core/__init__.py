"""Plugins written for AetherFlow 0.0.x run unchanged through `aetherflow.core.api`."""
