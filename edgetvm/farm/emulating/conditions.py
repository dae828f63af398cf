"""What emulated boards are like."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Conditions:
    """What a board has, and what it lacks.

    Attributes:
        memory_bytes: what all its programs have together; more, and the kernel ends one of them.
        disk_bytes: what can be written to its disk, which lies in this machine's memory and counts
            as the board's.
        tmp_bytes: of /tmp, which lies in memory, too.
        sudo: whether its user may become root without a password.
        noexec_tmp: whether programs in /tmp are refused.
        read_only: whether nothing can be written but /tmp and /run.
        musl: whether who logs in finds but BusyBox and the C library musl, as on boards with
            Alpine or Buildroot. Its user is root.
    """

    memory_bytes: int = 1 << 30
    disk_bytes: int = 512 << 20
    tmp_bytes: int = 128 << 20
    sudo: bool = True
    noexec_tmp: bool = False
    read_only: bool = False
    musl: bool = False
