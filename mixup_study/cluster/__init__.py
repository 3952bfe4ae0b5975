"""Executors: what trains a plan, on a Ray cluster or in this process. The only room that imports ray."""
