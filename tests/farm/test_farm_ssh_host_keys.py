"""Host keys: known, unknown, changed and forgotten, as OpenSSH has it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_sshd import Sshd, new_key
from ssh_servers import KEY, in_batch, keygen, needs_sshd

from edgetvm.base.errors import HostKeyError
from edgetvm.farm.rekeying import rekey
from edgetvm.farm.ssh import Connection
from edgetvm.farm.ssh.known_hosts import forget_keys, known_hosts_path
from edgetvm.farm.ssh.openssh import ssh_command
from edgetvm.farm.ssh.route import Stop

pytestmark = needs_sshd


def test_an_unknown_host_is_refused_unless_accepted(shared_sshd: Sshd, isolated_home: Path) -> None:
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", shared_sshd.folder / "host_key.pub"],
        capture_output=True, text=True, check=True,
    ).stdout.split()[1]  # fmt: skip
    with pytest.raises(HostKeyError, match="its host key is not known: ssh-ed25519") as caught:
        Connection(shared_sshd.board()).run("true", deadline_s=20)
    assert shown in str(caught.value)
    assert "--accept-new-host-key" in str(caught.value)
    assert not known_hosts_path().exists()
    with Connection(shared_sshd.board(), accept_new_host_key=True) as connection:
        assert connection.run("echo in", deadline_s=20).out == b"in\n"
    with Connection(shared_sshd.board()) as connection:
        assert connection.run("echo in", deadline_s=20).out == b"in\n"
    # OpenSSH reads what was written.
    done = in_batch([*ssh_command(shared_sshd.board()), "echo", "in"])
    assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr


def test_a_changed_host_key_is_refused_until_rekey(own_sshd: Sshd) -> None:
    other = f"example.com {KEY}\n"
    path = known_hosts_path()
    path.write_text("# mine\n" + other + path.read_text())
    own_sshd.new_host_key()
    for accept in (False, True):
        with pytest.raises(HostKeyError, match="its host key has changed") as caught:
            Connection(own_sshd.board(), accept_new_host_key=accept).run("true", deadline_s=20)
        assert "edgetvm devices rekey kitchen" in str(caught.value)
    keys = rekey(own_sshd.board())
    assert keys.changed
    assert len(keys.known) == 1
    with pytest.raises(HostKeyError, match="changed"):  # looking changes nothing
        Connection(own_sshd.board()).run("true", deadline_s=20)
    assert rekey(own_sshd.board(), keys.shown).shown == keys.shown
    with Connection(own_sshd.board()) as connection:
        assert connection.run("echo in", deadline_s=20).out == b"in\n"
    assert path.read_text().startswith("# mine\n" + other)
    assert path.read_text().count("127.0.0.1") == 1
    assert not rekey(own_sshd.board()).changed


def test_a_key_of_another_kind_is_a_changed_one(own_sshd: Sshd) -> None:
    own_sshd.stop()
    for path in own_sshd.folder.glob("host_key*"):
        path.unlink()
    new_key(own_sshd.folder / "host_key", kind="ecdsa")
    own_sshd.start()
    with pytest.raises(HostKeyError, match=r"has changed: it shows ecdsa.* known is ssh-ed25519"):
        Connection(own_sshd.board(), accept_new_host_key=True).run("true", deadline_s=20)


def test_hashed_names_are_known(sshd: Sshd) -> None:
    assert keygen("-q", "-H", "-f", known_hosts_path()) == 0
    assert "127.0.0.1" not in known_hosts_path().read_text()
    with Connection(sshd.board()) as connection:
        assert connection.run("echo in", deadline_s=20).out == b"in\n"


@pytest.mark.parametrize(
    "line",
    [
        "{host} {key}",
        "example.com,{host}  {key} a comment",
        "\t{host} {key}",
        "[127.0.*]:* {key}",
        "[127.0.0.?]:{port} {key}",
        "[127.0.0.1]:*,!{host} {key}",
        "127.0.0.1 {key}",
        "*.example.com {key}",
        "{host} ssh-ed25519 AAAA",
        "@cert-authority {host} {key}",
        "{host} {key}\n@revoked * {key}",
        "#{host} {key}",
    ],
)
def test_a_line_means_what_it_means_to_openssh(shared_sshd: Sshd, line: str) -> None:
    kind, key, *_ = (shared_sshd.folder / "host_key.pub").read_text().split()
    host = f"[127.0.0.1]:{shared_sshd.port}"
    known_hosts_path().parent.mkdir()
    known_hosts_path().write_text(
        line.format(host=host, port=shared_sshd.port, key=f"{kind} {key}") + "\n"
    )
    by_openssh = in_batch([*ssh_command(shared_sshd.board()), "true"])
    try:
        with Connection(shared_sshd.board()) as connection:
            assert connection.run("true", deadline_s=20).exit_code == 0
        refused = False
    except HostKeyError as error:
        refused = True
        assert ("revoked" in str(error)) == ("@revoked" in line)
    assert refused == (by_openssh.returncode != 0), by_openssh.stderr


NAMES = st.sampled_from(["a", "b.example", "[a]:2222", "A", "10.0.0.1"])


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(NAMES, min_size=1, max_size=3, unique=True).map(",".join), max_size=5),
    st.sampled_from([("a", 22), ("a", 2222), ("b.example", 22)]),
    st.booleans(),
)
def test_keys_are_forgotten_as_ssh_keygen_does(
    names: list[str], host: tuple[str, int], hashed: bool
) -> None:
    """It drops whole lines; here a line of several names keeps the others."""
    path = known_hosts_path()
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{one} {KEY}\n" for one in names) + "# end\n")
    if hashed:
        assert keygen("-q", "-H", "-f", path) == 0
    stop = Stop(host[0], host[1], "x", (), False)
    lines = path.read_text().splitlines()
    forget_keys(stop)
    left = path.read_text().splitlines()
    assert keygen("-F", stop.known_as, "-f", path) == 1, left
    if not any("," in line for line in lines):
        path.write_text("\n".join(lines) + "\n")
        keygen("-R", stop.known_as, "-f", path)
        assert path.read_text().splitlines() == left
    path.unlink()
