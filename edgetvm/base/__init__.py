"""What every room may use: errors, paths, files, cache, YAML, steps, units."""
