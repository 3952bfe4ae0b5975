"""Ray: connecting, scheduling and workers. The only room that imports ray."""
