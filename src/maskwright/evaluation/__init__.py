"""Evaluation: the ruler that all runs share."""
