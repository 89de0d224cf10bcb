"""Plugins written for AetherFlow 0.0 run unchanged; their import path is `aetherflow.core.api`."""
