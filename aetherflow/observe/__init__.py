"""Observers of a run: the log, the event stream and the live tree. They watch; they decide nothing."""
