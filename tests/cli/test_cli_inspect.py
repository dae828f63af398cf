"""`edgetvm inspect` and `edgetvm compile`: kernels, what was decided, memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_command import Home
from rich.console import Console, RenderableType

from edgetvm.cli.compile_views import inspection_view, told_memory
from edgetvm.compile.artifact import Kernel, MemoryUse
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.schedules import RULES
from edgetvm.workflow.inspecting import InspectedKernel, Inspection

KERNELS = tuple(
    InspectedKernel(
        Kernel(f"k{n}", 1, "default", "register tile", ((f"node{n}",),), decisions={"cores": "2"}),
        (100 - n) / 100,
        us=2.0 * n,
        time_share=n / 100,
    )
    for n in range(45)
)
FOUND = Inspection("model", "local", DEFAULTS, KERNELS, ())


def text_of(shown: RenderableType) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def test_a_list_that_is_cut_says_how_to_see_all() -> None:
    cut, whole = (text_of(inspection_view(FOUND, most)) for most in (40, None))
    assert "… and 5 more: --all shows them" in cut
    assert cut.count("register tile") == 40
    assert whole.count("register tile") == 45
    assert "--all" not in whole


def test_decisions_are_shown_where_they_are_asked_for() -> None:
    assert text_of(inspection_view(FOUND, None, decisions=True)).count("cores: 2") == 45
    assert "cores: 2" not in text_of(inspection_view(FOUND))


@pytest.mark.parametrize(
    ("memory", "options", "said"),
    [
        (MemoryUse(4096, 2048), DEFAULTS, "4.0 kB at their peak; 2.0 kB at least are needed"),
        (None, CompileOptions(0), "not planned at -O0"),
        (None, CompileOptions(1), "branches or dynamic shapes"),
    ],
)
def test_activations_are_told_or_why_they_are_not_known(
    memory: MemoryUse | None, options: CompileOptions, said: str
) -> None:
    assert said in told_memory(memory, options)


def test_both_commands_as_users_run_them(home: Home, tiny_onnx: Path) -> None:
    done = home.edgetvm("inspect", tiny_onnx, "--time", "--decisions", "--all", cold=True)
    assert done.code == 0, done.err
    assert done.is_clean()
    for word in ("register tile", "tile: ", "at their peak", "timed one by one"):
        assert word in done.out
    document = home.edgetvm("inspect", home.package, "--json", cold=True).document
    assert document["memory"]["peak_activation_bytes"] > 0
    plain = home.edgetvm("compile", tiny_onnx, "-O0", "--all")
    assert "not planned at -O0" in plain.out
    assert "run in plain loops" in plain.err


def test_the_page_explains_every_rule() -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/inspect.md").read_text()
    missing = [title for title, _ in RULES if f"| {title} |" not in page]
    assert missing == []
