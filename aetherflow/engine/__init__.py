"""The pure core of a run: its state, what may follow, what to do next, how it is resumed. No loop, no I/O."""
