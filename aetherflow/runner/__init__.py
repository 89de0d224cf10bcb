"""Many runs in one process: tickets, their queue, and the worker slots that execute them."""
