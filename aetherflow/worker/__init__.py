"""Attempts of steps on a worker of a cluster: what runs beside the engine, in a process of its own."""
