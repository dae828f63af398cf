"""`python -m edgetvm` is the same as the `edgetvm` command."""

from edgetvm.cli import main

main()
