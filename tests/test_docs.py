"""The pages in docs: their commands parse, their links lead somewhere, the reference is new."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from edgetvm.cli.root import root

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
# Checked by a test of their own.
PICTURES = {"docs/images/report.png"}
# What comes before a command on its line, and what follows it there.
BEFORE = re.compile(r"^\s*(?:\$ )?(?:\.venv/bin/)?(?=edgetvm )")
AFTER = {"|", ">", ">>", "&&", ";"}


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of each fenced block."""
    return [(found[1], found[2]) for found in FENCE.finditer(page.read_text())]


def command_lines(page: Path) -> list[str]:
    """Every `edgetvm …` in the page's blocks and between its backticks."""
    text = page.read_text()
    lines = [line for _, block in blocks(page) for line in block.replace("\\\n", " ").split("\n")]
    lines += re.findall(r"(?<!`)`(edgetvm [^`\n]+)`(?!`)", FENCE.sub("", text))
    return [
        BEFORE.sub("", line)
        for line in lines
        if BEFORE.match(line) and "[OPTIONS]" not in line and "…" not in line
    ]


def parse(line: str) -> None:
    """Parse a command line down to its last command, and run nothing.

    Raises:
        click.UsageError: there is no such command, option or value.
    """
    words = shlex.split(re.split(r" {2,}", line)[0], comments=True)[1:]
    end = next((index for index, word in enumerate(words) if word in AFTER), len(words))
    words = words[:end]
    command: click.Command = root
    context: click.Context | None = None
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        context = command.make_context(command.name or "", words, parent=context)
        rest = [*context._protected_args, *context.args]
        _, below, words = command.resolve_command(context, rest)
        assert below is not None
        command = below
    # A page may speak of `edgetvm tune` without its arguments.
    if words:
        command.make_context(command.name or "", words, parent=context)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_parse(page: Path) -> None:
    refused = []
    for line in command_lines(page):
        try:
            parse(line)
        except click.exceptions.Exit:
            pass  # --help and --version leave at once
        except click.UsageError as error:
            if "does not exist" in error.format_message():
                continue  # a folder of the reader's
            refused.append(f"{line}: {error.format_message()}")
    assert refused == []


@pytest.mark.parametrize("file", sorted((ROOT / "docs" / "examples").glob("*.yml")), ids=page_id)
def test_example_workflows_run_commands_that_parse(file: Path) -> None:
    document = yaml.safe_load(file.read_text())
    # YAML 1.1 takes the key `on` for a truth value.
    assert document[True] and document["permissions"] == {"contents": "read"}
    steps = [step for job in document["jobs"].values() for step in job["steps"]]
    scripts = [step["run"].replace("\\\n", " ") for step in steps if "run" in step]
    lines = [line for script in scripts for line in script.split("\n") if BEFORE.match(line)]
    assert lines
    for line in lines:
        parse(line)


def test_a_wrong_command_line_is_noticed() -> None:
    for line in (
        "edgetvm bnech x.onnx",
        "edgetvm bench --devise a x.onnx",
        "edgetvm cache shew",
    ):
        with pytest.raises(click.UsageError):
            parse(line)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    text = FENCE.sub("", page.read_text())
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in HEADING.findall(text)
    }


def links(page: Path) -> list[str]:
    found = LINK.findall(FENCE.sub("", page.read_text()))
    return [link for link in found if not re.match(r"[a-z]+:", link) and link not in PICTURES]


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("picture", sorted(PICTURES))
def test_pictures_are_there(picture: str) -> None:
    assert (ROOT / picture).is_file()


def test_the_index_names_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    named = {(index.parent / link).resolve() for link in links(index)}
    missing = {page for page in PAGES if page.is_relative_to(index.parent)} - {index} - named
    assert missing == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent != ROOT], ids=page_id)
def test_python_is_python_and_imports_what_is_there(page: Path) -> None:
    for language, text in blocks(page):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edgetvm"):
                # As a statement, so that a module of a package is found, too.
                exec(compile(ast.Module([node], []), str(page), "exec"), {})  # noqa: S102


def test_the_reference_is_current() -> None:
    checked = subprocess.run(
        [sys.executable, ROOT / "scripts" / "docs", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_no_page_names_a_path_of_one_machine(page: Path) -> None:
    found = re.findall(
        r"(?:/work|/tmp|/root|/home/(?!you\b)\w+|/opt(?!/edgetvm\b))/\S*", page.read_text()
    )
    assert found == []
