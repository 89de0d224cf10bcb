"""Execute runs: the executor and its attempts, the event bus, open connectors, files of large outputs."""
