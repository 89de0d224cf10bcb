"""What does the work of a run: the executor, its attempts, the event bus, open connectors."""
