"""The typed events of runs and of schedulers. Every package above may import them."""
