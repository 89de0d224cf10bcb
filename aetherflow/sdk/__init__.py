"""The parts of the plugin API: step types, connectors, the context of a step, files and checks."""
