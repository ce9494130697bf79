"""Tracking: what a run writes down and shows: metrics.csv, loggers, speed, the screen, the jobs of a multirun."""
