"""YAML files read into typed records. An error names file, line, key path and the mend."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from edgetvm.base.errors import ConfigurationError

Record = TypeVar("Record")
KeyPath = tuple[str | int, ...]

# Type of a validator's error about a value that must not be repeated: its words are the mend.
UNTOLD = "untold"

# A configuration file is written by hand: anything past these is a mistake or an attack.
_MAX_BYTES = 1 << 20
_MAX_VALUES = 20_000
_MAX_DEPTH = 50


class _Reader:
    """Plain values out of YAML nodes, with the line of each key path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[KeyPath, int] = {}
        self._values = 0
        self._scalars = yaml.SafeLoader("")

    def refuse(self, node: yaml.Node, what: str, mend: str) -> ConfigurationError:
        return ConfigurationError(what, where=f"{self.path}:{_line(node)}", mend=mend)

    def value(self, node: yaml.Node, at: KeyPath) -> object:
        """The value of `node`. Aliases count each time, so that an alias bomb is refused."""
        self._values += 1
        if self._values > _MAX_VALUES or len(at) > _MAX_DEPTH:
            raise self.refuse(
                node, "too many or too deeply nested values", "write out what is needed, unaliased"
            )
        self.lines.setdefault(at, _line(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*at, index)) for index, child in enumerate(node.value)]
        if not node.tag.startswith("tag:yaml.org,2002:"):
            raise self.refuse(node, f"tag {node.tag} is not known", "write a plain value")
        try:
            return _plain(self._scalars.construct_object(node))
        # PyYAML's constructors fall over a wrong `!!bool x` in each their own way.
        except (yaml.YAMLError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            raise self.refuse(
                node, f"{_short(node.value)} is not a value", "put it in quotes to mean text"
            ) from error

    def _mapping(self, node: yaml.MappingNode, at: KeyPath) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.refuse(key_node, "a key must be one word", "check the indentation")
            key = str(key_node.value)
            if not _is_text(key):
                raise self.refuse(key_node, f"key {key!r} is not text", "write plain letters")
            if key in result:
                raise self.refuse(key_node, f"key {key!r} stands twice", "keep one of them")
            result[key] = self.value(value_node, (*at, key))
            self.lines[(*at, key)] = _line(key_node)
        return result


def _is_text(text: str) -> bool:
    """Whether it can be printed: an escape like `\\ud800` makes half a character."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _plain(value: object) -> object:
    """Give back a scalar that every later step can print and compare.

    Raises:
        ValueError: a collection under a scalar, half a character, or a number beyond 64 bits.
    """
    if isinstance(value, (list, dict, set)):
        raise ValueError("a collection without members")
    if isinstance(value, str) and not _is_text(value):
        raise ValueError("half a character")
    if isinstance(value, int) and value.bit_length() > 64:
        raise ValueError("beyond 64 bits")
    return value


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _compose(path: Path) -> yaml.Node | None:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(
            (error.strerror or "cannot be read").lower(), where=str(path), mend="check the path"
        ) from error
    if len(data) > _MAX_BYTES:
        raise ConfigurationError("larger than 1 MB", where=str(path), mend="is it the right file?")
    try:
        return yaml.compose(data.decode(), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            "not UTF-8 text", where=str(path), mend="save it as UTF-8"
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise ConfigurationError(
            f"not YAML: {error.problem or error.context}",
            where=where,
            mend="check the indentation, colons and quotes around that line",
        ) from error
    # A directive or escape with a number that is too large ends in Python's own errors.
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        raise ConfigurationError(
            "not YAML",
            where=str(path),
            mend="check for stray control characters, escapes or nesting",
        ) from error


def nearest(name: str, known: Sequence[str], what: str = "keys") -> str:
    """The mend for a misspelt name: the nearest that is known, or all of them."""
    match = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if match:
        return f"did you mean {match[0]!r}?"
    return f"known {what}: {', '.join(known)}"


def _known_keys(schema: dict[str, Any], at: KeyPath) -> list[str]:
    """The keys that `schema` allows in the mapping at `at`."""

    def resolved(part: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in part:
            part = schema["$defs"][part["$ref"].rsplit("/", 1)[1]]
        return part

    parts = [resolved(schema)]
    for key in at:
        below: list[dict[str, Any]] = []
        for part in parts:
            for option in map(resolved, [part, *part.get("anyOf", [])]):
                if isinstance(key, int):
                    below.append(option.get("items") or {})
                elif key in option.get("properties", {}):
                    below.append(option["properties"][key])
                elif isinstance(option.get("additionalProperties"), dict):
                    below.append(option["additionalProperties"])
                else:  # keys of a pattern
                    below += option.get("patternProperties", {}).values()
        parts = [resolved(part) for part in below]
    keys: list[str] = []
    for part in parts:
        for option in [part, *part.get("anyOf", [])]:
            keys += resolved(option).get("properties", {})
    return keys


def _key_path(at: KeyPath) -> str:
    text = ""
    for key in at:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text or "the whole file"


@dataclass(frozen=True)
class Located(Generic[Record]):
    """A record, and where its keys stand: for complaints about more than one of them."""

    record: Record
    path: Path
    lines: Mapping[KeyPath, int]

    def refusal(self, at: KeyPath, what: str, mend: str) -> ConfigurationError:
        """An error about the key at `at`, to raise: `what` follows the key's path."""
        stands = at
        while stands not in self.lines:
            stands = stands[:-1]
        where = f"{self.path}:{self.lines[stands]}"
        return ConfigurationError(f"{_key_path(at)} {what}", where=where, mend=mend)


Keys = dict[str, object]


def _as_they_are(keys: Keys) -> Keys:
    return keys


def read_yaml(
    path: Path, record: type[Record], before: Callable[[Keys], Keys] = _as_they_are
) -> Record:
    """Read one file into a `record` (a pydantic dataclass).

    Args:
        before: gets the file's keys, not yet checked, and gives those that are to be.

    Raises:
        ConfigurationError: naming file, line, key path and the mend.
    """
    return read_located(path, record, before).record


def read_located(
    path: Path, record: type[Record], before: Callable[[Keys], Keys] = _as_they_are
) -> Located[Record]:
    """As `read_yaml`, with the lines.

    Raises:
        ConfigurationError: naming file, line, key path and the mend.
    """
    reader = _Reader(path)
    node = _compose(path)
    value = reader.value(node, ()) if node is not None else None
    if not isinstance(value, dict):
        raise ConfigurationError(
            "must hold keys and values", where=str(path), mend="see docs/reference/yaml.md"
        )
    adapter = TypeAdapter(record)
    try:
        return Located(adapter.validate_python(before(value)), path, reader.lines)
    except ValidationError as error:
        raise _translated(reader, adapter, error) from error


def _translated(
    reader: _Reader, adapter: TypeAdapter[Any], error: ValidationError
) -> ConfigurationError:
    """The first of pydantic's complaints in a user's words."""
    complaints = error.errors(include_url=False)
    # A misspelt key is the cause of the one that is missing.
    unknown = (one for one in complaints if one["type"] == "unexpected_keyword_argument")
    first = next(unknown, complaints[0])
    # Pydantic puts names of union members into the path: keep only the keys of the file.
    at: KeyPath = ()
    for key in first["loc"]:
        absent = first["type"] in ("missing", "unexpected_keyword_argument")
        if absent or (*at, key) in reader.lines:
            at = (*at, key)
    known_at = at if at in reader.lines else at[:-1]
    where = f"{reader.path}:{reader.lines.get(known_at, 1)}"
    schema = adapter.json_schema()
    if first["type"] == "unexpected_keyword_argument":
        mend = nearest(str(at[-1]), _known_keys(schema, at[:-1]))
        return ConfigurationError(f"unknown key {_key_path(at)}", where=where, mend=mend)
    if first["type"] == "missing":
        return ConfigurationError(
            f"key {_key_path(at)} is missing", where=where, mend=f"add `{at[-1]}: …`"
        )
    if first["type"] == UNTOLD:
        return ConfigurationError(
            f"{_key_path(at)} holds the secret itself", where=where, mend=first["msg"]
        )
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return ConfigurationError(
        f"{_key_path(at)} is {_short(first['input'])}",
        where=where,
        mend=f"it should be {message[:1].lower()}{message[1:]}",
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def json_schema(record: type[object], title: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a YAML format, for editors.

    Source: https://json-schema.org/draft/2020-12/schema
    """
    schema = TypeAdapter(record).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}
