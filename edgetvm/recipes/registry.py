"""The functions that a recipe names, and the check of the parameters that it gives them."""

from __future__ import annotations

import difflib
import inspect
import traceback
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import pydantic.dataclasses
from pydantic import (
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from edgetvm.base.errors import ConfigurationError, EdgetvmError
from edgetvm.base.files import sha256_of, sha256_of_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgetvm.recipes.data import Sample
    from edgetvm.recipes.postprocess import Prediction

Result = TypeVar("Result")
Function = TypeVar("Function", bound=Callable[..., Any])
Kind = Literal["pictures", "recordings"]
Agreement = Callable[["Prediction", "Prediction"], float]
"""Percent of the decisions that two predictions of one sample share."""


@dataclass(frozen=True)
class Processing:
    """A registered function and what a recipe says to it: `{name: image, scale: 1.0}`.

    Attributes:
        name: of the registered function.
        parameters: its keyword arguments, as far as the recipe gives them.
        brought: the user's folder that is read in place of the recipe's own data, if one is.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    brought: Path | None = None


@dataclass(frozen=True)
class _Entry(Generic[Result]):
    function: Callable[..., Result]
    record: type[Any]
    parameters: TypeAdapter[Any]
    needs_stream: bool
    needs_text: bool
    reads: str | None
    best: float | None
    whole: bool
    agreement: Agreement | None
    form: str
    gives: Kind | None

    @property
    def file(self) -> Path:
        return Path(inspect.getfile(self.function))

    @property
    def is_brought(self) -> bool:
        """Whether it is of a recipe's own module."""
        return not self.function.__module__.startswith("edgetvm.")


class Registry(Generic[Result]):
    """Functions of one kind by name. Their keyword-only parameters are the keys in YAML."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, _Entry[Result]] = {}

    def register(
        self,
        name: str,
        *,
        needs_stream: bool = False,
        needs_text: bool = False,
        reads: str | None = None,
        best: float | None = None,
        whole: bool = False,
        agreement: Agreement | None = None,
        like: str | None = None,
        gives: Kind | None = None,
    ) -> Callable[[Function], Function]:
        """Add the decorated function.

        Args:
            needs_stream: whether a recipe that names it must have a `stream`.
            needs_text: whether a preprocess reads the `text` among a sample's attributes.
            reads: for a metric, the postprocess whose prediction it reads; for a pipeline, the one
                whose keys its predictions have.
            best: for a metric, its value where all is right; None for a figure that is no score.
            whole: whether a metric takes the predictions of all samples, and these, at once.
            agreement: for a postprocess, how far two of its predictions agree; all or nothing
                without it.
            like: for a postprocess, another whose predictions have the same keys: its metrics read
                these as well, and they agree alike.
            gives: for data, what its samples are, where other files of the kind can take their
                place: `--data FOLDER`.

        Raises:
            ValueError: another function has that name, or none that of `like`.
        """
        if like is not None:
            agreement = self._entries[self.checked_name(like)].agreement

        def add(function: Function) -> Function:
            if name in self._entries:
                taken = self._entries[name].file
                raise ValueError(f"{taken} has a {self.kind} called {name!r} already")
            record = _parameter_record(self.kind, name, function)
            self._entries[name] = _Entry(
                function,
                record,
                TypeAdapter(record),
                needs_stream,
                needs_text,
                reads,
                best,
                whole,
                agreement,
                like or name,
                gives,
            )
            return function

        return add

    def names(self, reads: str | None = None) -> list[str]:
        """All names, or those of metrics that read one postprocess."""
        return sorted(name for name, entry in self._entries.items() if reads in (None, entry.reads))

    def reads(self, name: str) -> str:
        """The postprocess whose keys the predictions have that a function reads or makes."""
        return self._entries[name].reads or ""

    def needs_stream(self, name: str) -> bool:
        """Whether a recipe that names it must have a `stream`."""
        return self._entries[name].needs_stream

    def needs_text(self, name: str) -> bool:
        """Whether a preprocess reads the `text` among a sample's attributes."""
        return self._entries[name].needs_text

    def best(self, name: str) -> float | None:
        """A metric's value where all is right; None for a figure that is no score."""
        return self._entries[name].best

    def whole(self, name: str) -> bool:
        """Whether a metric takes all samples at once."""
        return self._entries[name].whole

    def agreement(self, name: str) -> Agreement | None:
        """How far two predictions of a postprocess agree; None where they do or do not."""
        return self._entries[name].agreement

    def form(self, name: str) -> str:
        """The postprocess whose predictions have the keys of this one's; itself as a rule."""
        return self._entries[name].form

    def gives(self, name: str) -> Kind | None:
        """Of what kind the files are that can take the place of data; None where none can."""
        return self._entries[name].gives

    def digest(self, name: str) -> str:
        """SHA-256 of the file that a function stands in, and of those beside it that it may run."""
        files = sorted(self._entries[name].file.parent.glob("*.py"))
        return sha256_of("".join(map(sha256_of_file, files)).encode())

    def takes(self, name: str, parameter: str) -> bool:
        """Whether a recipe may give a function that parameter."""
        return parameter in (known.name for known in fields(self._entries[name].record))

    def summary(self, name: str) -> str:
        """What a function says of itself, in one paragraph."""
        return (self._entries[name].function.__doc__ or "").split("\n\n", 1)[0].strip()

    def run(self, chosen: Processing, *arguments: object) -> Result:
        """Call the function that a recipe chose.

        Raises:
            ConfigurationError: it is of a recipe's own module, and fails.
        """
        entry = self._entries[chosen.name]
        try:
            return entry.function(*arguments, **chosen.parameters)
        except (EdgetvmError, ValidationError):
            raise
        except Exception as error:
            if entry.is_brought:
                raise failure_of(entry.file, error) from error
            raise

    def checked_name(self, name: object) -> str:
        """`name` where it is registered.

        Raises:
            ValueError: it is not; names the nearest.
        """
        if isinstance(name, str) and name in self._entries:
            return name
        near = difflib.get_close_matches(str(name), self._entries, n=1)
        known = ", ".join(self.names())
        raise ValueError(f"{near[0]!r}, or another of: {known}" if near else f"one of: {known}")

    def checked(self, value: object) -> Processing:
        """A mapping of YAML as a Processing, its name and parameters checked.

        Raises:
            ValidationError: naming the key that is wrong.
        """
        brought = value.brought if isinstance(value, Processing) else None
        if isinstance(value, Processing):
            value = {**value.parameters, "name": value.name}
        if not isinstance(value, dict):
            raise refusal((), value, f"a mapping: `{{name: {self.names()[0]}, …}}`")
        if "name" not in value:
            raise _refusal("missing", ("name",), value)
        try:
            name = self.checked_name(value["name"])
        except ValueError as error:
            raise refusal(("name",), value["name"], str(error)) from None
        entry = self._entries[name]
        # Told first: a misspelt key most often is the one that is missing, too.
        known = {parameter.name for parameter in fields(entry.record)}
        for key in value:
            if key not in known:
                raise _refusal("unexpected_keyword_argument", (key,), value[key])
        record = entry.parameters.validate_python(value)
        parameters = {key: getattr(record, key) for key in value if key != "name"}
        return Processing(name, parameters, brought)

    @contextmanager
    def unchanged_by_failure(self) -> Iterator[None]:
        """What is registered inside, is forgotten where it ends in an error."""
        before = dict(self._entries)
        try:
            yield
        except BaseException:
            self._entries = before
            raise

    def json_schema(self, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Any of the functions with its parameters, for editors."""
        options = [self._entries[name].parameters.core_schema for name in self.names()]
        return {"anyOf": [handler(option) for option in options]}


def failure_of(file: Path, error: BaseException) -> ConfigurationError:
    """What a failure in a recipe's own code is told as."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(file)]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    return ConfigurationError(
        f"{type(error).__name__}: {error}",
        where=f"{file}:{line}" if line else str(file),
        mend="this is the recipe's own code: mend it there",
    )


def _parameter_record(kind: str, name: str, function: Callable[..., Any]) -> type[object]:
    """A strict record with `name` and the function's keyword-only parameters."""
    hints = typing.get_type_hints(function, include_extras=True)
    keys: list[tuple[str, Any] | tuple[str, Any, Any]] = [("name", Literal[name])]
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.default is inspect.Parameter.empty:
            keys.append((parameter.name, hints[parameter.name]))
        else:
            default = field(default=parameter.default)
            keys.append((parameter.name, hints[parameter.name], default))
    title = "".join(word.capitalize() for word in f"{name}-{kind}".split("-"))
    plain = make_dataclass(title, keys, kw_only=True, frozen=True)
    plain.__doc__ = (function.__doc__ or "").split("\n\n", 1)[0]
    return pydantic.dataclasses.dataclass(frozen=True, config=ConfigDict(extra="forbid"))(plain)


def refusal(at: tuple[str | int, ...], value: object, should_be: str) -> ValidationError:
    """An error to raise inside a validator, about the key at `at` below it."""
    # The text is a template of pydantic's: a brace in it must go in as a value.
    error = PydanticCustomError("recipe", "{should_be}", {"should_be": should_be})
    return _refusal(error, at, value)


def _refusal(
    error: str | PydanticCustomError, at: tuple[str | int, ...], value: object
) -> ValidationError:
    details = InitErrorDetails(type=error, loc=at, input=value)
    return ValidationError.from_exception_data("recipe", [details])


@dataclass(frozen=True)
class ChosenFrom:
    """Marks a field of a record as a Processing of one registry."""

    registry: Registry[Any]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.registry.checked)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return self.registry.json_schema(handler)


@dataclass(frozen=True)
class NameFrom:
    """Marks a text field of a record as a name of one registry."""

    registry: Registry[Any]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.registry.checked_name)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "enum": self.registry.names()}


# Here and not beside the functions, because the Recipe record names them and they name Recipe.
DATA: Registry[tuple[Sample, ...]] = Registry("data")
PREPROCESS: Registry[dict[str, NDArray[np.generic]]] = Registry("preprocess")
POSTPROCESS: Registry[Prediction] = Registry("postprocess")
METRICS: Registry[float] = Registry("metric")
MODELS: Registry[None] = Registry("model")
PIPELINES: Registry[Prediction] = Registry("pipeline")
