"""What boards import: one file of Python, without edgetvm."""
