"""`aetherflow serve`: the scheduler and the run pool in one process."""
