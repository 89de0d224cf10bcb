"""The import path of plugins written for AetherFlow 0.0; what it names stands in `aetherflow.compat`."""
