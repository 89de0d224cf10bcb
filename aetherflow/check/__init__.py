"""What can be said of a flow before it runs, beyond its own file."""
