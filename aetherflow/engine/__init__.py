"""The pure core of a run: its state, legal transitions, decisions and resume. No event loop, no I/O."""
