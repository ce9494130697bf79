"""Comparison: which recipe of a sweep is better, by how much, and how sure that is, from the files that runs leave."""
