"""What a farm's daemon does: boards are served, proven, fenced and healed, each by itself."""
