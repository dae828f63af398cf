"""A board with a real systemd: Debian's, as process 1 of namespaces of its own.

Emulated boards have busybox's init. Only root can make this one, and the userland comes from
Debian's packages; where either is missing, or systemd does not come up, tests are left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from real_sshd import new_key, until

from edgetvm.base.cache import get_or_make
from edgetvm.farm import Board
from edgetvm.farm.hops import Hop
from edgetvm.farm.inventory import Login

_PACKAGES = "systemd-sysv,openssh-server,sudo,procps,iproute2"
_GROUPS = Path("/sys/fs/cgroup")
_NEEDED = ("mmdebstrap", "unshare", "nsenter", "ip")

_START = """
set -eu
mount --make-rprivate /
mount -t tmpfs disk "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
root=$folder/root
mount -t overlay -o "lowerdir=$base,upperdir=$folder/upper,workdir=$folder/work" board "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs run "$root/run"
mount -t tmpfs -o mode=755 dev "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for node in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0'; do
    set -- $node
    mknod -m 666 "$root/dev/$1" c "$2" "$3"
done
ip link set lo up
ip link set eth0 up
ip address add "$address/30" dev eth0
mkdir -p "$root/root/.ssh"
echo "$key" >"$root/root/.ssh/authorized_keys"
chmod -R go= "$root/root"
cd "$root"
mkdir -p mnt
pivot_root . mnt
exec chroot . /bin/sh -c 'umount -l /mnt; exec env -i container=lxc PATH=/usr/sbin:/usr/bin \
    /lib/systemd/systemd --log-level=warning systemd.unified_cgroup_hierarchy=1'
"""


@dataclass(frozen=True)
class SystemdBoard:
    """It is on.

    Attributes:
        pid: of its systemd, as this machine knows it.
    """

    board: Board
    pid: int

    def run(self, text: str) -> str:
        """What a shell of its root says."""
        inside = ["nsenter", "-t", str(self.pid), "-a", "-r", "-w", "--", "sh", "-c", text]
        done = subprocess.run(inside, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip()


def _userland() -> Path:
    def make(folder: Path) -> None:
        words = ["mmdebstrap", "--variant=minbase", "--mode=root", f"--include={_PACKAGES}"]
        done = subprocess.run(
            [*words, "bookworm", str(folder / "root")], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip("Debian's packages are not to be had")

    return get_or_make("userland", {"systemd": _PACKAGES}, make)[0] / "root"


@contextmanager
def systemd_board() -> Iterator[SystemdBoard]:
    """A board that is on, its host key not known."""
    if os.geteuid() or not all(map(shutil.which, _NEEDED)):
        pytest.skip("only root can make a board with systemd, with mmdebstrap and iproute2")
    number = os.getpid() % 250
    link, group = f"systemd{number}", _group() / f"edgetvm-systemd-{number}"
    ours, its = f"10.99.{number}.1", f"10.99.{number}.2"
    with tempfile.TemporaryDirectory() as made:
        key = new_key(Path(made, "key"))
        mounted = Path(made, "disk")
        mounted.mkdir()
        environment = {
            "base": str(_userland()),
            "folder": str(mounted),
            "address": its,
            "key": Path(made, "key.pub").read_text(),
        }
        group.mkdir()
        begin = 'echo $$ >"$group/cgroup.procs"; exec unshare --pid --mount --ipc --uts --net '
        begin += '--cgroup --fork --kill-child -- sh -c "read -r line; $start"'
        process = subprocess.Popen(
            ["sh", "-c", begin],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environment, "start": _START, "group": str(group)},
        )
        try:
            assert until(lambda: _child(process.pid))
            pid = _child(process.pid)
            peer = ["peer", "name", "eth0", "netns", str(pid)]
            for words in (
                ["link", "add", link, "type", "veth", *peer],
                ["address", "add", f"{ours}/30", "dev", link],
                ["link", "set", link, "up"],
            ):
                subprocess.run(["ip", *words], check=True)
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.close()
            login = Login(Hop(its, user="root"), key_file=key)
            up = SystemdBoard(Board("with-systemd", "local", login=login), pid)
            if not until(lambda: "running" in up.run("systemctl is-system-running")):
                pytest.skip("this machine lets no systemd run in a namespace")
            yield up
        finally:
            process.kill()
            process.wait()
            subprocess.run(["ip", "link", "delete", link], capture_output=True, check=False)
            until(lambda: _is_removed(group))


def _group() -> Path:
    """Where the second version of control groups is mounted."""
    return _GROUPS / "unified" if (_GROUPS / "unified").is_dir() else _GROUPS


def _child(pid: int) -> int:
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(words[0]) if words else 0


def _is_removed(group: Path) -> bool:
    for folder in sorted(group.rglob("*/"), key=lambda one: -len(one.parts)):
        try:
            folder.rmdir()
        except OSError:
            return False
    try:
        group.rmdir()
    except OSError:
        return False
    return True
