"""Experiments: variants of models that are compiled, measured in turns, and compared."""
