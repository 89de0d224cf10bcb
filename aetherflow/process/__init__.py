"""Operating system processes: start, read and end them, with all processes that they started."""
