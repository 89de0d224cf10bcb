"""The scheduler task: decides which firings are due, starts their runs and looks after them."""
