"""Plan, events, state, decisions, bus and executor of a run."""
