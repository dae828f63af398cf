"""Root file systems of emulated boards: a small Debian for each architecture, kept in the cache.

Debian's packages are unpacked and not configured, which needs no program of the board's
architecture and takes seconds. What their scripts would have written is written here.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from edgetvm.base.cache import get_or_make
from edgetvm.base.errors import MissingToolError
from edgetvm.base.steps import step
from edgetvm.farm.emulating.commands import ran
from edgetvm.farm.emulating.needs import program

USER = "debian"
UID = 1000
SSHD_CONFIG = """\
HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
UseDNS no
Subsystem sftp internal-sftp
"""
SUDOERS = """\
Defaults env_reset
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
root ALL=(ALL:ALL) ALL
"""

_SUITE = "bookworm"
# As `uname -m` names them, to Debian's names.
_DEBIAN = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}
ARCHITECTURES = tuple(_DEBIAN)
_PACKAGES = """
base-files base-passwd busybox coreutils dash findutils grep gzip iproute2 libc-bin libfaketime
mount openssh-server passwd procps sed sudo tar util-linux
"""
_MUSL_PACKAGES = "busybox-static musl"
MUSL_FOLDER = "musl"
# Commands that a board has and none of the packages above brings.
_OF_BUSYBOX = {
    "usr/bin": "awk hostname killall less nc pidof ping top vi wget which",
    "usr/sbin": "halt init poweroff reboot",
}
_WORD = re.compile(r"\{\w+\}")
_DEADLINE_S = 900.0

_FILES = {
    "etc/resolv.conf": "",
    "etc/inittab": "::once:/etc/start-sshd\n::ctrlaltdel:/sbin/reboot\n",
    "etc/start-sshd": "#!/bin/sh\nmkdir -p /run/sshd\nexec /usr/sbin/sshd -E /run/sshd.log\n",
    "etc/ssh/sshd_config": SSHD_CONFIG,
    "etc/pam.d/common-auth": "auth required pam_deny.so\n",
    "etc/pam.d/common-account": "account required pam_permit.so\n",
    "etc/pam.d/common-password": "password required pam_deny.so\n",
    "etc/pam.d/common-session": "session required pam_permit.so\n",
    "etc/pam.d/common-session-noninteractive": "session required pam_permit.so\n",
    "etc/sudoers": f"{SUDOERS}{USER} ALL=(ALL:ALL) NOPASSWD: ALL\n",
    "etc/passwd": f"""\
{{passwd}}sshd:x:100:65534::/run/sshd:/usr/sbin/nologin
{USER}:x:{UID}:{UID}::/home/{USER}:/bin/sh
""",
    "etc/group": f"{{group}}{USER}:x:{UID}:\n",
    "etc/shadow": "{shadow}",
}
_MODES = {"etc/start-sshd": 0o755, "etc/sudoers": 0o440, "etc/shadow": 0o600}


def userland(architecture: str) -> Path:
    """The folder of a root file system that boards read and never write.

    Made once, from the internet; two processes that need it at once make one.

    Raises:
        MissingToolError: mmdebstrap failed; the sentence has its last words.
        StorageError: the cache cannot be written.
    """
    return _made(architecture, _PACKAGES, _finish)


def musl_userland(architecture: str) -> Path:
    """A folder with nothing but `musl`, a root file system of BusyBox and that C library.

    Raises:
        MissingToolError, StorageError: as `userland`.
    """
    return _made(architecture, _MUSL_PACKAGES, _finish_musl, MUSL_FOLDER)


def _made(
    architecture: str, packages: str, finish: Callable[[Path], None], inside: str = "."
) -> Path:
    this = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    description = {"architecture": architecture, "packages": packages, "made by": this}

    def make(folder: Path) -> None:
        root = folder / "root" / inside
        root.parent.mkdir(exist_ok=True)
        with step(f"make the {architecture} userland of emulated boards"):
            _unpack(_DEBIAN[architecture], packages, root)
            finish(root)

    entry, _ = get_or_make("userland", description, make)
    return entry / "root"


def _mirror() -> list[str]:
    """Where this machine's apt has the suite from; where it has another, mmdebstrap knows one.

    Neither updates nor security's: their indices are renewed daily, and fail meanwhile.
    """
    wanted = (f"Codename: {_SUITE}", "Component: main", "Created-By: Packages")
    told = ran("apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted)
    return [f"deb {uri} {_SUITE} main" for uri in told.split()[:1]]


def _unpack(debian: str, packages: str, made: Path) -> None:
    command = [
        program("mmdebstrap"),
        "--variant=extract",
        "--mode=root",
        f"--architectures={debian}",
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
        f"--include={','.join(packages.split())}",
        _SUITE,
        str(made),
        *_mirror(),
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MissingToolError(
            f"mmdebstrap is not done after {_DEADLINE_S:g} s", mend="is there a network?"
        ) from error
    if done.returncode:
        lines = done.stderr.splitlines()
        first = next((line for line in lines if line.startswith("E: ")), str(done.returncode))
        raise MissingToolError(
            f"mmdebstrap could not make a root file system: {first.removeprefix('E: ')}",
            mend="it fetches Debian's packages: is there a network, and a mirror for apt?",
        )


def _finish(root: Path) -> None:
    accounts = root / "usr/share/base-passwd"
    passwd = (accounts / "passwd.master").read_text()
    passwd = passwd.replace(":*:", ":x:").replace("/bin/bash", "/bin/sh")
    names = [line.split(":", 1)[0] for line in passwd.splitlines()]
    words = {
        "{passwd}": passwd,
        "{group}": (accounts / "group.master").read_text().replace(":*:", ":x:"),
        "{shadow}": "".join(f"{name}:*:19000:0:99999:7:::\n" for name in [*names, "sshd", USER]),
    }
    for name, text in _FILES.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_WORD.sub(lambda found: words[found[0]], text))
        target.chmod(_MODES.get(name, 0o644))
    for name in ("mnt", "opt", "srv"):
        (root / name).mkdir(exist_ok=True)
    for folder, commands in _OF_BUSYBOX.items():
        for name in commands.split():
            if not (root / folder / name).exists():
                (root / folder / name).symlink_to("/usr/bin/busybox")
    _home(root / "home" / USER, UID)
    _home(root / "root", 0)
    shutil.rmtree(root / "usr/share/doc", ignore_errors=True)


def _finish_musl(root: Path) -> None:
    for name in "dev etc opt proc root run sys tmp var".split():
        (root / name).mkdir(exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/shadow").write_text("root:*:19000:0:99999:7:::\n")
    shutil.rmtree(root / "usr/share/doc", ignore_errors=True)


def _home(folder: Path, uid: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / ".ssh").mkdir(mode=0o700)
    shutil.chown(folder, uid, uid)
    shutil.chown(folder / ".ssh", uid, uid)
