"""Trials in one process: tasks, their loop and their checkpoints. Knows nothing of Ray."""
