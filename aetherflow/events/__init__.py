"""What can happen: the typed events of runs and of schedulers. All rooms may import them."""
