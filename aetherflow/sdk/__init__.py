"""What a plugin sees: step types, connectors, the context of a step, files and checks."""
