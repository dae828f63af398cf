"""SSH to boards: real OpenSSH servers, and the faults that a board's way has."""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_sshd import PROGRAM, Sshd, free_port, new_key, until

from edgetvm.base.errors import (
    BoardError,
    BoardGoneError,
    BoardLoginError,
    BoardStorageError,
    BoardTimeoutError,
    BoardUnreachableError,
    ConfigurationError,
    HostKeyError,
    UsageError,
)
from edgetvm.farm import Board
from edgetvm.farm.asking import facts_of
from edgetvm.farm.hops import Hop, parse_hops
from edgetvm.farm.inventory import Login
from edgetvm.farm.rekeying import rekey
from edgetvm.farm.secret import Secret
from edgetvm.farm.ssh import Connection, Deadlines, Tunnels, upload
from edgetvm.farm.ssh.known_hosts import forget_keys, known_hosts_path
from edgetvm.farm.ssh.openssh import ssh_command
from edgetvm.farm.ssh.route import Stop

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="there is no sshd (apt-get install openssh-server)"
)

SHORT = Deadlines(connect_s=1, banner_s=0.5, keys_s=1, login_s=1, channel_s=0.5, proof_s=0.5)
USER = getpass.getuser()
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6DvXpDTVKAPAZAz6UHC0C3AzkNeYYn4uCwWFtoAbQF"


@pytest.fixture(scope="module")
def shared_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server for tests that leave it as it is."""
    sshd = Sshd(tmp_path_factory.mktemp("sshd") / "shared").start()
    yield sshd
    sshd.stop()


@pytest.fixture
def sshd(shared_sshd: Sshd, isolated_home: Path) -> Sshd:
    """The shared server, its host key known."""
    shared_sshd.know()
    return shared_sshd


@pytest.fixture
def own_sshd(tmp_path: Path, isolated_home: Path) -> Iterator[Sshd]:
    """A server for a test that breaks it, its host key known."""
    sshd = Sshd(tmp_path / "sshd").start()
    sshd.know()
    yield sshd
    sshd.stop()


def address_of(host: str, port: int) -> Board:
    return Board("kitchen", "local", login=Login(Hop(host, port, USER)))


def keygen(*words: str | Path) -> int:
    """OpenSSH's own reading and writing of keys: its exit code."""
    return subprocess.run(["ssh-keygen", *words], capture_output=True, check=False).returncode


def in_batch(words: list[str]) -> subprocess.CompletedProcess[str]:
    """OpenSSH's client, which must ask nothing."""
    return subprocess.run(
        [words[0], "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", *words[1:]],
        capture_output=True,
        text=True,
        check=False,
    )


# --- Commands -------------------------------------------------------------------------------------


def test_a_command_ends_with_code_and_words(sshd: Sshd) -> None:
    with Connection(sshd.board()) as connection:
        answer = connection.run("echo out; echo 'err or' >&2; exit 7", deadline_s=20)
        assert (answer.exit_code, answer.out, answer.err) == (7, b"out\n", b"err or\n")
        assert answer.last_words == "err or"
        assert connection.run("echo \"$0\" '$HOME'", deadline_s=20).out == b"/bin/sh $HOME\n"
        assert connection.prove_alive() > 0


def test_much_goes_both_ways_at_once(sshd: Sshd) -> None:
    data = os.urandom(3 << 20)
    with Connection(sshd.board()) as connection:
        answer = connection.run("tee /dev/stderr", deadline_s=60, stdin=data)
        assert answer.out == answer.err == data
        # A command that reads nothing of it ends all the same.
        assert connection.run("exit 3", deadline_s=60, stdin=data).exit_code == 3


def test_what_never_ends_is_cut(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgetvm.farm.ssh.connection._MOST_BYTES", 1 << 20)
    with Connection(sshd.board()) as connection:
        for command in ("cat /dev/zero", "cat /dev/zero >&2"):
            with pytest.raises(BoardError, match="board kitchen: it sends more than 1 MB"):
                connection.run(command, deadline_s=30)
        assert connection.run("echo on", deadline_s=20).out == b"on\n"


def test_many_share_one_connection(own_sshd: Sshd) -> None:
    with Connection(own_sshd.board()) as connection, ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda one: connection.run(f"echo {one}", deadline_s=60).out, range(24))
        )
    assert answers == [f"{one}\n".encode() for one in range(24)]
    assert (own_sshd.folder / "log").read_text().count("Accepted publickey") == 1


def test_a_command_that_is_late_costs_only_itself(sshd: Sshd) -> None:
    with Connection(sshd.board()) as connection:
        with pytest.raises(BoardTimeoutError, match=r"board kitchen: .*within 0.5 s while running"):
            connection.run("sleep 60", deadline_s=0.5)
        assert connection.run("echo on", deadline_s=20).out == b"on\n"


def test_a_command_that_is_killed(sshd: Sshd) -> None:
    with Connection(sshd.board()) as connection:
        with pytest.raises(BoardError, match="the command was killed there"):
            connection.run("kill -9 $$", deadline_s=20)
        assert connection.run("echo on", deadline_s=20).out == b"on\n"


def test_facts_over_ssh_are_this_machines(sshd: Sshd) -> None:
    over_ssh, here = facts_of(sshd.board()), facts_of(Board("local", "local"))
    assert over_ssh.machine.cores[0].flags == here.machine.cores[0].flags
    assert over_ssh.boot_id == here.boot_id
    assert over_ssh.user == USER


# --- The way there --------------------------------------------------------------------------------


def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(BoardUnreachableError, match=r"the name board\.invalid is not known"):
        Connection(address_of("board.invalid", 22)).run("true", deadline_s=5)


def test_an_sshd_that_is_stopped(own_sshd: Sshd) -> None:
    own_sshd.stop()
    with pytest.raises(BoardUnreachableError, match=r"it is there, and no SSH server listens at"):
        Connection(own_sshd.board()).run("true", deadline_s=5)


def test_no_route() -> None:
    """An address of RFC 5737's documentation range, switched off in this machine's own table."""
    ip = shutil.which("ip", path=f"{os.environ['PATH']}:/sbin:/usr/sbin")
    route = ["unreachable", "203.0.113.77/32"]
    if ip is None or subprocess.run([ip, "route", "add", *route], check=False).returncode:
        pytest.skip("this user may not change routes")
    try:
        with pytest.raises(BoardUnreachableError, match=r"there is no route to 203\.0\.113\.77"):
            Connection(address_of("203.0.113.77", 22)).run("true", deadline_s=5)
    finally:
        subprocess.run([ip, "route", "del", *route], check=True)


def test_nothing_answers() -> None:
    """A listener whose queue is full drops what comes: as a board that is switched off."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = []
        try:
            for _ in range(4):
                stream = socket.socket()
                stream.setblocking(False)
                stream.connect_ex(address)
                waiting.append(stream)
            with pytest.raises(BoardUnreachableError, match=r"nothing answered at .* within 1 s"):
                Connection(address_of(*address), SHORT).run("true", deadline_s=5)
        finally:
            for stream in waiting:
                stream.close()


@contextmanager
def listener_that(answers: bytes | None) -> Iterator[int]:
    """A TCP server: it says something and closes, or accepts and never speaks (None)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = []

        def serve() -> None:
            while True:
                try:
                    stream, _ = listener.accept()
                except OSError:
                    return
                held.append(stream)
                if answers is not None:
                    stream.sendall(answers)
                    stream.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        for stream in held:
            stream.close()
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (None, "accepts connections at port .*, and did not say that it speaks SSH within 0.5 s"),
        (b"HTTP/1.0 400 Bad Request\r\n" * 200, "something else than SSH answers at port"),
        (b"", "closed the connection before the keys were exchanged"),
        (b"SSH-2.0-x\r\n", "closed the connection before the keys were exchanged"),
        (b"SSH-1.5-OpenSSH_2\r\n", "its SSH server is too old or too new"),
    ],
)
def test_a_listener_that_is_no_sshd(answers: bytes | None, words: str) -> None:
    with (
        listener_that(answers) as port,
        pytest.raises(BoardUnreachableError, match=words) as caught,
    ):
        Connection(address_of("127.0.0.1", port), SHORT).run("true", deadline_s=5)
    assert str(caught.value).startswith("board kitchen: ")
    assert caught.value.mend


def test_an_sshd_that_is_frozen_and_wakes(own_sshd: Sshd) -> None:
    with Connection(own_sshd.board()) as connection:
        assert connection.run("echo on", deadline_s=20).out == b"on\n"
        connection.deadlines = SHORT
        own_sshd.signal_all(signal.SIGSTOP)
        with pytest.raises(BoardTimeoutError, match=r"within 0\.5 s while running"):
            connection.run("echo on", deadline_s=0.5)
        with pytest.raises(BoardUnreachableError, match="did not say that it speaks SSH"):
            Connection(own_sshd.board(), SHORT).run("true", deadline_s=5)
        own_sshd.signal_all(signal.SIGCONT)
        connection.deadlines = Deadlines()
        assert connection.run("echo on", deadline_s=20).out == b"on\n"


def test_a_board_that_reads_no_more_holds_nobody_up(own_sshd: Sshd) -> None:
    """All that fits on the way is there, and nothing more can be sent: not even a farewell."""
    with Connection(own_sshd.board()) as connection, ThreadPoolExecutor(1) as pool:
        connection.transport()
        own_sshd.signal_all(signal.SIGSTOP)
        big = pool.submit(connection.run, "cat", deadline_s=3, stdin=bytes(32 << 20))
        with pytest.raises(BoardError):
            connection.run("echo on", deadline_s=1)
        with pytest.raises((BoardTimeoutError, BoardGoneError)):
            big.result(60)
        own_sshd.signal_all(signal.SIGCONT)
        assert connection.run("echo on", deadline_s=20).out == b"on\n"


def test_a_connection_that_broke_comes_back(own_sshd: Sshd) -> None:
    with Connection(own_sshd.board()) as connection:
        assert connection.run("echo on", deadline_s=20).out == b"on\n"
        killer = threading.Timer(0.3, own_sshd.kill_sessions)
        killer.start()
        with pytest.raises(BoardGoneError, match=r"the connection broke while running a command"):
            connection.run("sleep 60", deadline_s=30)
        assert connection.run("echo again", deadline_s=20).out == b"again\n"


@pytest.fixture
def board_on_a_cable(tmp_path: Path, isolated_home: Path) -> Iterator[tuple[Sshd, str]]:
    """A server in a network of its own, and the command prefix that runs something there."""
    ip = shutil.which("ip", path=f"{os.environ['PATH']}:/sbin:/usr/sbin")
    name = f"et{os.getpid()}"

    def do(*words: str) -> int:
        return subprocess.run([str(ip), *words], capture_output=True, check=False).returncode

    if ip is None or do("netns", "add", name):
        pytest.skip("this user may not make network namespaces")
    try:
        # RFC 2544's range for tests of networks.
        made = [
            do("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name),
            do("addr", "add", "198.18.77.1/30", "dev", name),
            do("link", "set", name, "up"),
            do("-n", name, "addr", "add", "198.18.77.2/30", "dev", "eth0"),
            do("-n", name, "link", "set", "eth0", "up"),
        ]
        if any(made):
            pytest.skip("this machine makes no pairs of network devices")
        inside = (ip, "netns", "exec", name)
        sshd = Sshd(tmp_path / "far", address="198.18.77.2", inside=inside).start()
        sshd.know()
        yield sshd, name
        sshd.stop()
    finally:
        do("netns", "del", name)


def test_a_pulled_cable(board_on_a_cable: tuple[Sshd, str]) -> None:
    """Nothing says goodbye: this machine's kernel finds out by probes."""
    sshd, name = board_on_a_cable

    def plug(state: str) -> None:
        command = ["ip", "-n", name, "link", "set", "eth0", state]
        subprocess.run(command, check=True, env={"PATH": f"{os.environ['PATH']}:/sbin:/usr/sbin"})

    with Connection(sshd.board(), Deadlines(silence_s=3, connect_s=2)) as connection:
        assert connection.run("echo on", deadline_s=20).out == b"on\n"
        threading.Timer(0.3, plug, ["down"]).start()
        with pytest.raises(BoardGoneError, match="the connection broke while running a command"):
            connection.run("sleep 60", deadline_s=60)
        with pytest.raises(BoardUnreachableError, match=r"nothing answered at|no route to"):
            connection.run("echo on", deadline_s=20)
        plug("up")
        connection.deadlines = Deadlines()
        assert connection.run("echo again", deadline_s=20).out == b"again\n"


def test_an_idle_connection_is_proven_before_it_is_used(own_sshd: Sshd) -> None:
    """Frozen sessions answer no more, and nothing tells; a new connection gets through."""
    connection = Connection(own_sshd.board(), Deadlines(idle_s=0, proof_s=0.5))
    with connection:
        assert connection.run("echo on", deadline_s=20).out == b"on\n"
        for process in own_sshd.processes():
            process.suspend()
        assert connection.run("echo on", deadline_s=20).out == b"on\n"
    own_sshd.signal_all(signal.SIGCONT)


# --- Host keys ------------------------------------------------------------------------------------


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


# --- Logging in -----------------------------------------------------------------------------------


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


# --- Files ----------------------------------------------------------------------------------------


def test_a_file_arrives_whole(sshd: Sshd, tmp_path: Path) -> None:
    target = tmp_path / "it's here" / "a file"
    target.parent.mkdir()
    data = os.urandom(300_000)
    with Connection(sshd.board()) as connection:
        upload(connection, b"old", str(target))
        upload(connection, data, str(target), mode=0o750)
        upload(connection, b"", str(target.parent / "empty"))
    assert target.read_bytes() == data
    assert target.stat().st_mode & 0o777 == 0o750
    assert sorted(path.name for path in target.parent.iterdir()) == ["a file", "empty"]


def test_killed_in_the_middle_of_a_file(own_sshd: Sshd, tmp_path: Path) -> None:
    target = tmp_path / "there" / "model.edgetvm"
    target.parent.mkdir()
    target.write_text("the old one")
    data = os.urandom(8 << 20)

    def kill() -> None:
        until(lambda: any(part.name != target.name for part in target.parent.iterdir()))
        own_sshd.kill_sessions()

    with Connection(own_sshd.board()) as connection:
        connection.transport()
        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(BoardGoneError, match="the connection broke while running a command"):
            upload(connection, data, str(target))
        killer.join()
        assert until(lambda: [part.name for part in target.parent.iterdir()] == [target.name])
        assert target.read_text() == "the old one"
        upload(connection, data, str(target))
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(data).digest()


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A small file system of its own in memory."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [("size=200k", "its disk is full"), ("size=4m,ro", "its file system is read-only")],
)
def test_a_disk_that_takes_nothing(sshd: Sshd, tmp_path: Path, options: str, words: str) -> None:
    with mounted(tmp_path / "disk", options) as folder, Connection(sshd.board()) as connection:
        with pytest.raises(BoardStorageError, match=words) as caught:
            upload(connection, bytes(1_000_000), str(folder / "file"))
        assert str(folder / "file") in str(caught.value)
        assert list(folder.iterdir()) == []


def test_an_account_with_a_limit_on_files(tmp_path: Path) -> None:
    limited = 'command="ulimit -f 64; eval \\"$SSH_ORIGINAL_COMMAND\\""'
    sshd = Sshd(tmp_path / "sshd", authorized=limited).start()
    try:
        sshd.know()
        with Connection(sshd.board()) as connection:
            with pytest.raises(BoardStorageError, match="limit on the size of files there is too"):
                upload(connection, bytes(1_000_000), str(tmp_path / "file"))
            upload(connection, b"small", str(tmp_path / "file"))
    finally:
        sshd.stop()
    assert (tmp_path / "file").read_bytes() == b"small"
    assert not list(tmp_path.glob(".file*"))


def test_folders_that_take_no_file(sshd: Sshd, tmp_path: Path) -> None:
    with Connection(sshd.board()) as connection:
        with pytest.raises(BoardStorageError, match="the folder does not exist"):
            upload(connection, b"x", str(tmp_path / "none" / "file"))
        if os.getuid():
            tmp_path.chmod(0o500)
            with pytest.raises(BoardStorageError, match="the account may not write there"):
                upload(connection, b"x", str(tmp_path / "file"))


# --- Tunnels --------------------------------------------------------------------------------------


@contextmanager
def echo_server() -> Iterator[int]:
    """It answers each stream with all that it has sent, in capitals."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(stream: socket.socket) -> None:
            with stream:
                while part := stream.recv(65536):
                    stream.sendall(part.upper())

        def serve() -> None:
            while True:
                try:
                    stream, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(stream,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def said(port: int, data: bytes) -> bytes:
    """What a server answers to all of `data`; empty if it does not."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as stream:
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)
            answer = b""
            while part := stream.recv(65536):
                answer += part
            return answer
    except OSError:
        return b""


def test_tunnels_lead_both_ways_and_come_back(own_sshd: Sshd) -> None:
    data = b"a line of words\n" * 5_000
    board_port = free_port()
    connection = Connection(own_sshd.board())
    with echo_server() as server, connection, Tunnels(connection, proof_every_s=0.2) as tunnels:
        there = tunnels.to_board(server)
        assert tunnels.from_board(board_port, server) == board_port
        for _ in range(2):
            assert said(there, data) == data.upper()
            assert said(board_port, data) == data.upper()
            own_sshd.kill_sessions()
            assert until(lambda: said(there, b"on") == b"ON")
            assert until(lambda: said(board_port, b"on") == b"ON")
        with pytest.raises(BoardError, match=f"does not let port {server} of its own lead here"):
            tunnels.from_board(server, server)
        with pytest.raises(BoardError, match=f"port {server} of this machine is taken"):
            tunnels.to_board(9999, server)
    assert until(lambda: said(there, b"on") == b"")
    assert until(lambda: said(board_port, b"on") == b"")


def test_a_tunnel_to_nothing_ends_its_streams(sshd: Sshd) -> None:
    with Connection(sshd.board()) as connection, Tunnels(connection) as tunnels:
        port = tunnels.to_board(free_port())
        assert said(port, b"x") == b""
        with pytest.raises(BoardUnreachableError, match=r"nothing answers at 127\.0\.0\.1"):
            connection.open_stream("127.0.0.1", free_port())


# --- Hops -----------------------------------------------------------------------------------------

WORD = st.from_regex(r"\A[a-z0-9_][a-z0-9._-]{0,8}\Z")


@given(
    st.lists(
        st.builds(Hop, WORD | st.just("::1"), st.none() | st.integers(1, 65535), st.none() | WORD),
        min_size=1,
        max_size=3,
    )
)
def test_hops_are_read_as_they_are_written(hops: list[Hop]) -> None:
    assert parse_hops(",".join(map(str, hops))) == tuple(hops)


@given(st.text(max_size=12) | st.text("a@:[]1-, ", max_size=12))
def test_any_text_is_hops_or_refused(text: str) -> None:
    try:
        hops = parse_hops(text)
    except UsageError as error:
        assert error.mend
        return
    assert parse_hops(",".join(map(str, hops))) == hops
    for hop in hops:
        assert not hop.host.startswith("-")
        assert not (hop.user or "").startswith("-")
