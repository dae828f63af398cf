"""Every error that edgetvm raises on purpose.

    EdgetvmError                      1
    ├── UsageError                    2   an option or argument that cannot be
    ├── ConfigurationError            3   a YAML file: unreadable, unknown key, wrong value
    │   └── NotFoundError                 no recipe, board or profile of that name
    ├── ModelError                    4   the model file
    │   ├── ModelUnreadableError          missing, truncated, not what its name says
    │   ├── UnsupportedOperatorsError     all of them, with nodes and counts
    │   └── InputError                    a tensor of the wrong name, shape or dtype
    ├── CompileError                  5   the compiler refused the imported model
    ├── NumericError                  6   the compiled model answers differently from its reference
    │   └── AccuracyError                 quantised, it loses more than was allowed
    ├── PackageError                  7   a package file: altered, truncated, for another board
    ├── BoardError                    8   a board or what leads to it
    │   ├── TrackerUnreachableError       no tracker answers there
    │   ├── BoardUnreachableError         nothing speaks SSH there, or no way leads to it
    │   ├── HostKeyError                  its host key is unknown, or another than it was
    │   ├── BoardLoginError               it refuses the login
    │   ├── BoardNotProvisionedError      edgetvm's program or server is not there
    │   ├── BoardStorageError             its disk is full or read-only
    │   ├── BoardBusyError                no free board of that key in time
    │   ├── LeaseLostError                the lease of a board is over
    │   ├── BoardGoneError                the connection broke in mid-work
    │   ├── BoardTimeoutError             no answer before the deadline
    │   ├── BoardMemoryError              the board has too little memory
    │   └── BoardCrashError               the model's code died there
    ├── MissingToolError              9   a package, pin, program or data that this machine lacks
    └── StorageError                 10   disk full, no permission

The number is the exit code of the command. Ctrl-C ends a command with 130.
"""

from __future__ import annotations


class EdgetvmError(Exception):
    """One clear sentence: what is wrong, where, and the mend.

    Attributes:
        what: what is wrong, without a full stop.
        where: file, key, node or board that it is about.
        mend: what the user can do.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, mend: str | None = None) -> None:
        self.what = what
        self.where = where
        self.mend = mend
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.mend})" if self.mend else text


class UsageError(EdgetvmError):
    """An option or argument that cannot be."""

    exit_code = 2


class ConfigurationError(EdgetvmError, ValueError):
    """A YAML file that cannot be used as it is."""

    exit_code = 3


class NotFoundError(ConfigurationError):
    """No recipe, board or profile of that name."""


class ModelError(EdgetvmError):
    """The model file cannot be used."""

    exit_code = 4


class ModelUnreadableError(ModelError):
    """The model file is missing, truncated, or not of the format that its name says."""


class UnsupportedOperatorsError(ModelError):
    """The model uses operators that no importer covers."""


class InputError(ModelError, ValueError):
    """A tensor of the wrong name, shape or dtype."""


class CompileError(EdgetvmError):
    """The compiler refused the imported model."""

    exit_code = 5


class NumericError(EdgetvmError):
    """The compiled model answers differently from its reference runtime."""

    exit_code = 6


class AccuracyError(NumericError):
    """A quantised model loses too much, or one reaches less than its recipe accepts."""


class PackageError(EdgetvmError):
    """A package file that must not be loaded."""

    exit_code = 7


class BoardError(EdgetvmError):
    """A board, or the way to it, does not work."""

    exit_code = 8


class TrackerUnreachableError(BoardError, ConnectionError):
    """Nothing that speaks the tracker's protocol answers at that address."""


class BoardUnreachableError(BoardError, ConnectionError):
    """Nothing speaks SSH at the board's address, or no way leads to it."""


class HostKeyError(BoardError):
    """The board's host key is unknown, or another than it was."""


class BoardLoginError(BoardError):
    """The board refuses the login."""


class BoardNotProvisionedError(BoardError):
    """edgetvm's program, or the key of its server, is not on the board."""


class BoardStorageError(BoardError):
    """A file could not be written on the board: disk full, read-only, no permission."""


class BoardBusyError(BoardError, TimeoutError):
    """The tracker had no free board of that key before the deadline."""


class LeaseLostError(BoardError):
    """The lease of a board is over: it expired, or was ended by somebody else."""


class BoardGoneError(BoardError, ConnectionError):
    """The connection to the board broke in mid-work."""


class BoardTimeoutError(BoardError, TimeoutError):
    """The board did not answer before the deadline."""


class BoardMemoryError(BoardError):
    """The board has too little memory for this model."""


class BoardCrashError(BoardError):
    """The model's code died on the board."""


class MissingToolError(EdgetvmError):
    """A package, version, program or set of data that this machine lacks."""

    exit_code = 9


class StorageError(EdgetvmError, OSError):
    """A file could not be written or read."""

    exit_code = 10

    def __str__(self) -> str:
        return EdgetvmError.__str__(self)
