"""The scheduler task: decides which firings are due, starts their runs, and recovers them."""
