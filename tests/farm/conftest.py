"""The boards, packages and SSH servers that tests here share."""

from real_board import (  # noqa: F401 - fixtures are found by their names here
    board,
    fresh_board,
    local_board,
    stateful_package,
    tiny_package,
)
from ssh_servers import own_sshd, shared_sshd, sshd  # noqa: F401
