"""A study's results for other tools: one module for each, which imports that tool when it is used."""
