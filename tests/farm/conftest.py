"""The boards and packages of `real_board`, for all tests here."""

from real_board import (  # noqa: F401 - fixtures are found by their names here
    board,
    fresh_board,
    local_board,
    stateful_package,
    tiny_package,
)
