"""Secrets by reference: a file of edgetvm's says where one is kept, and never what it is."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.yamlfile import UNTOLD

_STRICT = ConfigDict(extra="forbid")
_DEADLINE_S = 30.0


@dataclass(frozen=True, config=_STRICT)
class Secret:
    """Where a secret is kept. One of the two."""

    env: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Environment variable that has it."),
    ] = None
    command: Annotated[
        str | None, Field(description="Command that prints it: `pass show boards/kitchen`.")
    ] = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Secret:
        if (self.env is None) == (self.command is None):
            raise ValueError("either `env: NAME` or `command: …`")
        return self


def _by_reference(value: Any) -> Any:
    if not isinstance(value, (dict, Secret)):
        raise PydanticCustomError(UNTOLD, "write `{env: NAME}` or `{command: …}` in its place")
    return value


SecretReference = Annotated[Secret, BeforeValidator(_by_reference)]


def secret_of(secret: Secret, where: str) -> str:
    """The secret itself.

    Raises:
        ConfigurationError: the variable is not set, or the command fails or prints nothing.
    """
    if secret.env is not None:
        if not os.environ.get(secret.env):
            raise ConfigurationError(
                f"the environment variable {secret.env} is not set",
                where=where,
                mend=f"set it: export {secret.env}=…",
            )
        return os.environ[secret.env]
    return _printed_by(secret.command or "", where)


def _printed_by(command: str, where: str) -> str:
    try:
        done = subprocess.run(
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=_DEADLINE_S,
            check=True,
        )
        line = done.stdout.decode().rstrip("\r\n")
        if not line:
            raise ValueError("it prints nothing")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ConfigurationError(
            f"the command {command!r} gives no secret: {_reason(error)}",
            where=where,
            mend="run it by hand",
        ) from error
    return line


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"it ends with {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no answer within {_DEADLINE_S:g} s"
    return (getattr(error, "strerror", None) or str(error)).lower()
