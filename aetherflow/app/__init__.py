"""The composition root: the only room that knows all concrete parts, and puts them together."""
