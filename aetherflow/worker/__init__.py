"""Run attempts of steps for an engine in another process, which decides everything and stores the state.

An `AttemptOnWorker` exchanges messages with the engine (`execution.worker_messages`); how they travel is no
concern of it. It never opens a state database.
"""
