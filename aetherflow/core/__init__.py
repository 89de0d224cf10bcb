"""The import path of plugins written for AetherFlow 0.0; the code is in `aetherflow.compat`."""
