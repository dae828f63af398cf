"""Logging in over SSH: keys, passphrases, the agent, jump hosts, the user's configuration."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from real_sshd import Sshd, free_port, new_key, until
from ssh_servers import USER, in_batch, keygen, needs_sshd

from edgetvm.base.errors import (
    BoardLoginError,
    BoardUnreachableError,
    ConfigurationError,
    HostKeyError,
)
from edgetvm.farm import Board
from edgetvm.farm.hops import Hop
from edgetvm.farm.inventory import Login
from edgetvm.farm.secret import Secret
from edgetvm.farm.ssh import Connection
from edgetvm.farm.ssh.openssh import ssh_command

pytestmark = needs_sshd


def test_a_wrong_key(sshd: Sshd, tmp_path: Path) -> None:
    key = new_key(tmp_path / "other")
    with pytest.raises(BoardLoginError) as caught:
        Connection(sshd.board(key_file=key)).run("true", deadline_s=20)
    told = str(caught.value)
    assert f"board kitchen: it refuses the login of {USER} with {key} (" in told
    assert f"ssh-copy-id -i {key}.pub -p {sshd.port} {USER}@127.0.0.1" in told


def test_no_key_at_all(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(BoardLoginError, match="with no key, for there is none"):
        Connection(sshd.board(key_file=None)).run("true", deadline_s=20)


def test_the_usual_key_is_found(sshd: Sshd) -> None:
    shutil.copy(sshd.user_key, Path.home() / ".ssh" / "id_ed25519")
    with Connection(sshd.board(key_file=None)) as connection:
        assert connection.run("echo in", deadline_s=20).out == b"in\n"


def test_key_files_that_cannot_be_used(sshd: Sshd, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no key\n")
    for key, words in (
        (tmp_path / "gone", "there is no key file"),
        (text, "holds no private key"),
        (new_key(tmp_path / "locked", "word"), "needs a passphrase"),
    ):
        with pytest.raises(ConfigurationError, match=words) as caught:
            Connection(sshd.board(key_file=key)).run("true", deadline_s=20)
        assert str(key) in str(caught.value)
        assert caught.value.mend


@pytest.fixture
def locked(sshd: Sshd, tmp_path: Path) -> Path:
    """The user's key with a passphrase."""
    path = tmp_path / "locked"
    shutil.copy(sshd.user_key, path)
    shutil.copy(f"{sshd.user_key}.pub", f"{path}.pub")
    path.chmod(0o600)
    assert keygen("-q", "-p", "-P", "", "-N", "pass word", "-f", path) == 0
    return path


def test_a_passphrase_by_reference(
    sshd: Sshd, locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PI_WORD", "pass word")
    for secret in (Secret(env="PI_WORD"), Secret(command="printf 'pass word\\n'")):
        with Connection(sshd.board(key_file=locked, passphrase=secret)) as connection:
            assert connection.run("echo in", deadline_s=20).out == b"in\n"
    monkeypatch.setenv("PI_WORD", "wrong")
    for secret, words in (
        (Secret(env="PI_WORD"), "or its passphrase is another"),
        (Secret(env="PI_NONE"), "environment variable PI_NONE is not set"),
        (Secret(command="false"), "gives no secret: it ends with 1"),
        (Secret(command="no-such-program"), "gives no secret: no such file"),
    ):
        with pytest.raises(ConfigurationError, match=words) as caught:
            Connection(sshd.board(key_file=locked, passphrase=secret)).run("true", deadline_s=20)
        assert "wrong" not in str(caught.value)


def test_the_agent_knows_the_passphrase(
    sshd: Sshd, locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sock = tmp_path / "agent"
    agent = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert until(sock.exists)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
        subprocess.run(["ssh-add", "-q", sshd.user_key], check=True)
        with Connection(sshd.board(key_file=locked)) as connection:
            assert connection.run("echo in", deadline_s=20).out == b"in\n"
        with Connection(sshd.board(key_file=None)) as connection:
            assert connection.run("echo in", deadline_s=20).out == b"in\n"
    finally:
        agent.kill()
        agent.wait()


def test_over_a_jump_host(sshd: Sshd, own_sshd: Sshd) -> None:
    """Both let the key in; the board is reached from the jump host's side only."""
    (own_sshd.folder / "authorized_keys").write_text((sshd.folder / "user_key.pub").read_text())
    board = sshd.board(jump=(Hop("127.0.0.1", own_sshd.port, USER),))
    with Connection(board) as connection:
        peer = connection.run("echo $SSH_CONNECTION", deadline_s=20).out.split()
        assert peer[3] == str(sshd.port).encode()
        assert connection.prove_alive() > 0
    assert "Accepted publickey" in (own_sshd.folder / "log").read_text()
    done = in_batch([*ssh_command(board), "echo", "in"])
    assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr
    way = sshd.login(jump=(Hop("127.0.0.1", own_sshd.port, USER),))
    hop = Hop("127.0.0.1", free_port(), USER)
    gone = Board("kitchen", "local", login=replace(way, hop=hop))
    with pytest.raises(BoardUnreachableError, match=r"the jump host cannot reach 127.0.0.1"):
        Connection(gone).run("true", deadline_s=20)
    own_sshd.new_host_key()
    with pytest.raises(HostKeyError, match=r"jump host .*ssh-keygen -R '\[127\.0\.0\.1\]:"):
        Connection(board).run("true", deadline_s=20)
    own_sshd.stop()
    with pytest.raises(BoardUnreachableError, match=rf"jump host 127.0.0.1:{own_sshd.port}: it is"):
        Connection(board).run("true", deadline_s=20)


def test_the_users_ssh_configuration_counts(sshd: Sshd, own_sshd: Sshd) -> None:
    (own_sshd.folder / "authorized_keys").write_text((sshd.folder / "user_key.pub").read_text())
    (Path.home() / ".ssh" / "config").write_text(
        f"Host gate\n  HostName 127.0.0.1\n  Port {own_sshd.port}\n  User {USER}\n"
        f"  IdentityFile {sshd.user_key}\n"
        f"Host pi\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {USER}\n"
        f"  IdentityFile {sshd.user_key}\n  ProxyJump gate\n"
    )
    with Connection(Board("pi", "local", login=Login(Hop("pi")))) as connection:
        assert connection.run("echo in", deadline_s=20).out == b"in\n"
    assert "Accepted publickey" in (own_sshd.folder / "log").read_text()
