"""What the training benchmarks compare, all timed in the same way."""
