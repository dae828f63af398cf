"""YAML into records: what is read, and what an error says about file, line, key and mend."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from edgetvm.base.errors import ConfigurationError
from edgetvm.base.yamlfile import json_schema, read_yaml

STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=STRICT)
class Part:
    name: str
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, config=STRICT)
class Thing:
    title: str
    count: int = 1
    ratio: float = 0.5
    ready: bool = False
    parts: tuple[Part, ...] = ()
    by_name: dict[str, Part] | None = None


def read(folder: Path, content: str | bytes) -> Thing:
    path = folder / "thing.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_yaml(path, Thing)


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    text = """\
# A comment.
title: "one: two"
count: 0x10
ratio: 2
ready: true
parts:
  - {name: a, sizes: [1, 2]}
  - name: b
by_name: {c: {name: c}}
"""
    assert read(tmp_path, text) == Thing(
        "one: two", 16, 2.0, True, (Part("a", (1, 2)), Part("b")), {"c": Part("c")}
    )


def test_an_alias_is_a_copy(tmp_path: Path) -> None:
    text = "title: x\nparts: [&one {name: a}, *one]\n"
    assert read(tmp_path, text).parts == (Part("a"), Part("a"))


BAD = [
    ("count: 2\n", ":1: key title is missing (add `title: …`)"),
    ("title: x\ncont: 2\n", ":2: unknown key cont (did you mean 'count'?)"),
    ("tittle: x\n", ":1: unknown key tittle (did you mean 'title'?)"),
    (
        "title: x\nparts:\n  - name: a\n    syzes: []\n",
        ":4: unknown key parts[0].syzes (did you mean 'sizes'?)",
    ),
    (
        "title: x\nby_name:\n  c:\n    name: c\n    nam: d\n",
        ":5: unknown key by_name.c.nam (did you mean 'name'?)",
    ),
    ("title: x\nzzzzzz: 1\n", ":2: unknown key zzzzzz (known keys: title, count, ratio, ready"),
    ("title: x\n\ntitle: y\n", ":3: key 'title' stands twice (keep one of them)"),
    (
        "title: x\nparts:\n  - name: a\n    sizes: [1, two]\n",
        ":4: parts[0].sizes[1] is 'two' (it should be a valid integer",
    ),
    ("title: x\nparts:\n  - sizes: [1]\n", ":3: key parts[0].name is missing"),
    ("title: [x]\n", ":1: title is ['x'] (it should be a valid string)"),
    ("title: x\ncount:\n", ":2: count is None (it should be a valid integer)"),
    ("title: x\nready: maybe\n", ":2: ready is 'maybe' (it should be a valid boolean"),
    ("title: x\ncount: 2024-13-41\n", ":2: '2024-13-41' is not a value (put it in quotes"),
    ("title: x\nready: !!bool maybe\n", ":2: 'maybe' is not a value (put it in quotes"),
    ("title: x\ncount: !!int ''\n", ":2: '' is not a value"),
    ("title: x\nratio: !!float ''\n", ":2: '' is not a value"),
    ("title: !!timestamp soon\n", ":1: 'soon' is not a value"),
    ("title: x\nparts: !!seq a\n", ":2: 'a' is not a value"),
    ("title: !!python/name:os.system x\n", ":1: 'x' is not a value"),
    ("title: !mine x\n", ":1: tag !mine is not known (write a plain value)"),
    ('title: "\\uD800"\n', ":1: '\\ud800' is not a value"),
    ('title: x\n"\\uD800": 1\n', ":2: key '\\ud800' is not text"),
    ("title: x\ncount: 0x" + "f" * 5000 + "\n", ":2: '0xfff"),
    ("title: x\nratio: 1" + ":0" * 300 + ".5\n", ":2: '1:0:0"),
    ("title: x\n? [a]\n: 1\n", ":2: a key must be one word (check the indentation)"),
    ("title: x\n  count: 2\n", ":2: not YAML: mapping values are not allowed here (check"),
    ("title: x\n---\ntitle: y\n", ":2: not YAML: but found another document"),
    ("title: *nothing\n", ":1: not YAML: found undefined alias"),
    ('title: "\\UFFFFFFFF"\n', ": not YAML (check for stray control characters, escapes"),
    ("%YAML 1." + "1" * 5000 + "\n---\ntitle: x\n", ": not YAML (check for stray"),
    ("title: \x00\n", ": not YAML (check for stray control characters"),
    ("title: x\nparts: &a [*a]\n", ":2: too many or too deeply nested values"),
    ("title: " + "[" * 60 + "]" * 60 + "\n", ":1: too many or too deeply nested values"),
    ("title: " + "[" * 5000 + "\n", ": not YAML"),
    ("", ": must hold keys and values"),
    ("# nothing\n", ": must hold keys and values"),
    ("- title: x\n", ": must hold keys and values"),
]


@pytest.mark.parametrize(("text", "said"), BAD, ids=[said[:40] for _, said in BAD])
def test_an_error_names_file_line_key_and_mend(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    told = str(caught.value)
    assert told.startswith(f"{tmp_path / 'thing.yaml'}{said}")
    assert caught.value.mend
    assert len(told) < 500
    told.encode()


def test_an_alias_bomb_is_refused(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ConfigurationError, match="too many or too deeply nested values"):
        read(tmp_path, "\n".join(levels) + "\n")


def test_other_encodings_and_large_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"not UTF-8 text \(save it as UTF-8\)"):
        read(tmp_path, "title: Straße\n".encode("latin-1"))
    at_the_limit = "title: x\n#" + "a" * ((1 << 20) - 11) + "\n"
    assert len(at_the_limit) == 1 << 20
    assert read(tmp_path, at_the_limit).title == "x"
    with pytest.raises(ConfigurationError, match=r"larger than 1 MB"):
        read(tmp_path, at_the_limit + " ")


def test_an_endless_file_is_refused_at_the_limit() -> None:
    with pytest.raises(ConfigurationError, match=r"^/dev/zero: larger than 1 MB"):
        read_yaml(Path("/dev/zero"), Thing)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no such file.*\(check the path\)"):
        read_yaml(tmp_path / "thing.yaml", Thing)
    with pytest.raises(ConfigurationError, match=r"is a directory \(check the path\)"):
        read_yaml(tmp_path, Thing)


def outcome(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            assert isinstance(read(Path(folder), content), Thing)
        except ConfigurationError as error:
            assert error.mend
            str(error).encode()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbftitle: a")
@example(b"%TAG ! tag:yaml.org,2002:\n---\ntitle: !int x")
def test_any_bytes_give_a_record_or_a_configuration_error(content: bytes) -> None:
    outcome(content)


WORDS = """
title count ratio ready parts name sizes by_name x 1 -1 .5 .inf 0o7 1e9 true ~ null << 2024-01-01
12:30 a:b : , - ? & * ! | > % @ ` # [ ] { } &a *a !!int !!bool !!set !!binary !!omap !!map !!str
!!null !!float !!timestamp ' " \\x41 \\ud800 \\U00110000 --- ... ü
"""
PIECES = st.sampled_from([*WORDS.split(), "\n", "\n  ", "\n- ", ": ", " "])


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_any_yaml_gives_a_record_or_a_configuration_error(text: str) -> None:
    outcome(text.encode("utf-8", "surrogatepass"))


def test_the_schema_judges_as_the_reader_does(tmp_path: Path) -> None:
    schema = json_schema(Thing, "thing.yaml")
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == "thing.yaml"
    judge = jsonschema.Draft202012Validator(schema)
    assert judge.is_valid({"title": "x", "parts": [{"name": "a", "sizes": [1]}]})
    assert not judge.is_valid({"title": "x", "cont": 1})
    assert not judge.is_valid({"count": 1})
    assert not judge.is_valid({"title": "x", "parts": [{"name": 1}]})


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """Root reads everything, so an unreadable file is one that the kernel refuses to anyone."""
    with pytest.raises(ConfigurationError, match=r"\(check the path\)"):
        read_yaml(Path(f"/proc/{os.getpid()}/mem"), Thing)
