"""Annotation: columns of the tokens that maskings read, and the tables behind them, learned from the corpus."""
