"""Where a model's tensors lie in memory while it runs."""
