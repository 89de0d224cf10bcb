"""Check flows and scheduler files before they run: step types, resources, graph, advice."""
