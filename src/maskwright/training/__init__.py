"""Training: optimizers, schedules, hardware, checkpoints, and the shell that runs an objective."""
