"""What the commands beside `run` and `serve` do: look at runs, clean up, check a machine, make files."""
