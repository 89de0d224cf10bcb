"""Operating system processes: start them, read them, end them with everything that they started."""
