"""The typed events of runs and of schedulers. All rooms above may import them."""
