"""The version of edgetvm."""

__version__ = "0.1.0"
