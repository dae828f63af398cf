"""Compile, tune, package and measure trained models on the ARM and x86 boards you own."""

__version__ = "0.1.0"
