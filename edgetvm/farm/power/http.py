"""Power switched by a socket or a power strip that answers to HTTP."""

from __future__ import annotations

import base64
import http.client
import time
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import BoardError
from edgetvm.farm.secret import SecretReference, secret_of

_DEADLINE_S = 10.0
_MOST_BYTES = 1 << 16


def _url(text: str) -> str:
    parts = urlsplit(text)
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or not text.isascii() or set(text) & set(" \r\n\t"):
        raise ValueError("a URL as http://pdu/outlet/3?turn=on, without user or password")
    return text


Url = Annotated[str, AfterValidator(_url)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PowerHttp:
    """URLs of a power strip. Any answer of the 200s is a yes."""

    on: Annotated[Url, Field(description="Switches on.")]
    off: Annotated[Url, Field(description="Switches off.")]
    status: Annotated[Url | None, Field(description="Tells how it stands; read with GET.")] = None
    when_on: Annotated[
        str, Field(description="What the answer of `status` holds when the power is on.")
    ] = "true"
    method: Annotated[
        Literal["GET", "POST", "PUT"], Field(description="With which `on` and `off` are asked.")
    ] = "GET"
    user: Annotated[str, Field(description="For HTTP's basic authentication.")] = ""
    password: Annotated[
        SecretReference | None, Field(description="Where the password for `user` is kept.")
    ] = None


def switch(power: PowerHttp, on: bool) -> None:
    """Switch on or off.

    Raises:
        BoardError: nothing answers there in time, or it refuses.
        ConfigurationError: the password is not where the inventory says.
    """
    _asked(power, power.method, power.on if on else power.off)


def is_on(power: PowerHttp) -> bool | None:
    """Whether the power is on; None where no URL tells.

    Raises:
        BoardError: nothing answers there in time, or it refuses.
        ConfigurationError: the password is not where the inventory says.
    """
    return None if power.status is None else power.when_on in _asked(power, "GET", power.status)


def _asked(power: PowerHttp, method: str, url: str) -> str:
    """The text that answers."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_DEADLINE_S)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, headers=_login(power))
        response = connection.getresponse()
        text = _read(response)
    except (OSError, http.client.HTTPException) as error:
        late = isinstance(error, TimeoutError)
        reason = f"no answer within {_DEADLINE_S:g} s" if late else str(error) or repr(error)
        raise BoardError(
            f"the power strip does not answer: {reason}",
            where=f"{parts.scheme}://{parts.netloc}",
            mend="check its address in the inventory and its network",
        ) from error
    finally:
        connection.close()
    if not 200 <= response.status < 300:
        raise BoardError(
            f"the power strip refuses: {response.status} {response.reason}",
            where=f"{parts.scheme}://{parts.netloc}",
            mend="check user, password and the path of the URL",
        )
    return text


def _read(response: http.client.HTTPResponse) -> str:
    """The answer. One that drips in byte by byte has one deadline as well."""
    until_s, data = time.monotonic() + _DEADLINE_S, b""
    while len(data) < _MOST_BYTES:
        part = response.read1(_MOST_BYTES - len(data))
        if not part:
            break
        data += part
        if time.monotonic() > until_s:
            raise TimeoutError
    return data.decode(errors="replace")


def _login(power: PowerHttp) -> dict[str, str]:
    if not power.user:
        return {}
    password = secret_of(power.password, "power.http.password") if power.password else ""
    word = base64.b64encode(f"{power.user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {word}"}
