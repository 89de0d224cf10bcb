"""Find plugins in plugin paths and in wheels of the old kind (entry point group `aetherflow.plugins`)."""
