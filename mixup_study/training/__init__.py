"""One job in one process: loop, evaluation, data-parallel workers. Knows nothing of Ray."""
