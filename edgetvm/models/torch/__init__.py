"""Exported PyTorch programs: a reader that unpickles nothing, a walk, one table of converters."""
