"""The work of the commands beside `run` and `serve`: inspect runs, clean up, check a machine, write files."""
