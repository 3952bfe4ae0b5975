"""What there is: fields, data sets, networks, methods, optimizers, tasks and metrics. Imports neither torch nor ray."""
