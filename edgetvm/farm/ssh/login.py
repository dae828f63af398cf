"""From a TCP connection to one that is logged in: keys exchanged, host checked, user let in.

paramiko's own client is not used for it: it goes on when the exchange of keys is late, tries a key
file as three kinds of key, and tells the last of the errors.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgetvm.base.errors import (
    BoardGoneError,
    BoardLoginError,
    BoardTimeoutError,
    BoardUnreachableError,
    ConfigurationError,
)
from edgetvm.base.words import printable
from edgetvm.farm.inventory import Login
from edgetvm.farm.secret import secret_of
from edgetvm.farm.ssh.deadlines import Deadlines
from edgetvm.farm.ssh.route import Stop


def start(sock: Any, stop: Stop, known: list[Any], deadlines: Deadlines, where: str) -> Any:
    """Exchange keys with an SSH server.

    Args:
        sock: a socket, or a channel of another connection.
        stop: the server.
        known: keys that are known of it: it is asked to show one of their kinds.
        deadlines: how long it may take.
        where: for errors.

    Returns:
        paramiko's transport; nobody has looked at the server's key yet.

    Raises:
        BoardUnreachableError: what answers is late, or does not speak SSH as we do.
    """
    import paramiko

    # Its threads log what they raise; whoever waits for them tells it once, and in words.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    transport = paramiko.Transport(sock)
    transport.daemon = True
    transport.banner_timeout = deadlines.banner_s
    transport.auth_timeout = deadlines.login_s
    transport.channel_timeout = deadlines.channel_s
    _prefer(transport, known)
    try:
        transport.start_client(timeout=deadlines.keys_s)
        if not transport.initial_kex_done:
            raise TimeoutError
    except (paramiko.SSHException, OSError, EOFError) as error:
        transport.close()
        raise _not_ssh(error, stop, deadlines, where) from error
    return transport


def _prefer(transport: Any, known: list[Any]) -> None:
    options = transport.get_security_options()
    kinds = {key.get_name() for key in known}
    if "ssh-rsa" in kinds:
        kinds |= {"rsa-sha2-512", "rsa-sha2-256"}
    options.key_types = sorted(options.key_types, key=lambda kind: kind not in kinds)


def _not_ssh(
    error: Exception, stop: Stop, deadlines: Deadlines, where: str
) -> BoardUnreachableError:
    import paramiko

    text = str(error)
    # Paramiko tells the reason why there was no banner only as what it was raised from.
    inner = error.__context__ if "banner" in text else error
    if isinstance(inner, TimeoutError):
        late = "did not say that it speaks SSH" if "banner" in text else "did not exchange keys"
        seconds = deadlines.banner_s if "banner" in text else deadlines.keys_s
        what = f"it accepts connections at port {stop.port}, and {late} within {seconds:g} s"
        mend = "is it overloaded or frozen? restart it"
    elif isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
        what, mend = f"its SSH server is too old or too new: {text}", "update it"
    elif "Indecipherable" in text or "Invalid SSH banner" in text:
        what = f"something else than SSH answers at port {stop.port}"
        mend = "correct `port` in the inventory"
    else:
        what = "it closed the connection before the keys were exchanged"
        mend = "does its sshd refuse more connections (MaxStartups), or this address?"
    return BoardUnreachableError(what, where=where, mend=mend)


def log_in(transport: Any, stop: Stop, login: Login, is_board: bool, where: str) -> None:
    """Log in by the keys of the user, of his agent, or by a password.

    Args:
        transport: whose server's key was found good.
        stop: the server.
        login: the inventory's words; passphrase and password are those of the board.
        is_board: whether it is the board, and no host on the way to it.
        where: for errors.

    Raises:
        BoardLoginError: it refuses all of them.
        BoardTimeoutError: it does not decide in time.
        BoardGoneError: the connection broke.
        ConfigurationError: a key file, or a secret, cannot be used.
    """
    import paramiko

    tried = []
    try:
        for name, key in _keys(stop, login, where):
            tried.append(name)
            if _accepted(transport.auth_publickey, stop.user, key):
                return
        if login.password is not None and is_board:
            tried.append("the password")
            secret = secret_of(login.password, f"{where}: password")
            if _accepted(transport.auth_password, stop.user, secret):
                return
    except TimeoutError as error:
        raise BoardTimeoutError(
            f"it did not decide about the login within {transport.auth_timeout:g} s",
            where=where,
            mend="is it overloaded, or does it look for the name of this machine in vain?",
        ) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        if len(tried) < 2:  # a server ends the connection after too many keys
            raise BoardGoneError(
                f"the connection broke while logging in: {printable(str(error)) or 'closed'}",
                where=where,
                mend="run the same command again",
            ) from error
    raise _refused(stop, tried, where)


def _accepted(method: Any, user: str, proof: Any) -> bool:
    import paramiko

    try:
        method(user, proof)
    except paramiko.AuthenticationException as error:
        if "timeout" in str(error).lower():
            raise TimeoutError from error
        return False
    # An empty answer is a yes; a list of further methods is a part of one.
    return bool(method.__self__.is_authenticated())


def _refused(stop: Stop, tried: list[str], where: str) -> BoardLoginError:
    with_what = ", ".join(dict.fromkeys(tried)) or "no key, for there is none"
    public = f" -i {stop.key_files[0]}.pub" if stop.key_files else ""
    return BoardLoginError(
        f"it refuses the login of {stop.user} with {with_what}",
        where=where,
        mend=f"check `user` and `key_file`, or bring the key there: ssh-copy-id{public} "
        f"-p {stop.port} {stop.user}@{stop.host}",
    )


def _keys(stop: Stop, login: Login, where: str) -> Iterator[tuple[str, Any]]:
    """Names and keys to offer, in order: files that are named, the agent's, the usual files."""
    if stop.named:
        yield from _from_files(stop, login, where)
    yield from _from_agent(stop, where)
    if not stop.named:
        yield from _from_files(stop, login, where)


def _from_agent(stop: Stop, where: str) -> Iterator[tuple[str, Any]]:
    """The agent's keys; of files that are named, only theirs."""
    import paramiko

    wanted = {_public_part(path) for path in stop.key_files} if stop.named else None
    try:
        keys = paramiko.Agent().get_keys()
    except (paramiko.SSHException, OSError):
        return  # an agent that is gone is none
    for key in keys:
        if wanted is None or key.get_base64() in wanted:
            yield "the agent's key", key


def _public_part(path: Path) -> str:
    try:
        return path.with_name(f"{path.name}.pub").read_text().split()[1]
    except (OSError, IndexError, ValueError):
        return ""


def _from_files(stop: Stop, login: Login, where: str) -> Iterator[tuple[str, Any]]:
    for path in stop.key_files:
        key = _key_in(path, stop, login, where)
        if key is not None:
            yield f"{path}", key


def _key_in(path: Path, stop: Stop, login: Login, where: str) -> Any:
    """The private key in a file; None for one with a passphrase that only an agent may know."""
    import paramiko

    passphrase = None
    if login.passphrase is not None and path == login.key_file:
        passphrase = secret_of(login.passphrase, f"{where}: passphrase").encode()
    try:
        return paramiko.PKey.from_path(path, passphrase)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"there is no key file {path}", where=where, mend="check `key_file` in the inventory"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"the key file {path} cannot be read: {(error.strerror or str(error)).lower()}",
            where=where,
            mend="check its permissions",
        ) from error
    except (paramiko.PasswordRequiredException, TypeError):
        if stop.named and not _agent_has(path):
            raise ConfigurationError(
                f"the key file {path} needs a passphrase",
                where=where,
                mend="give it to an agent (ssh-add), or say `passphrase` in the inventory",
            ) from None
        return None
    except (paramiko.SSHException, ValueError) as error:
        if not stop.named:
            return None
        raise ConfigurationError(
            f"the key file {path} holds no private key, or its passphrase is another",
            where=where,
            mend="check it with: ssh-keygen -y -f " + str(path),
        ) from error


def _agent_has(path: Path) -> bool:
    import paramiko

    try:
        return _public_part(path) in {key.get_base64() for key in paramiko.Agent().get_keys()}
    except (paramiko.SSHException, OSError):
        return False
