"""Observers of runs: log, event stream, live tree, metrics. They show events and decide nothing."""
