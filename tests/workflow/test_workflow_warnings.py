"""What speaks against a package is told whenever it is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from made_models import value, write
from onnx import helper

from edgetvm.base.steps import StepEvent, listening
from edgetvm.boards import load_profile
from edgetvm.workflow import build, find_subject, inspect_package


@pytest.fixture(scope="module")
def argmax(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one kernel, which no schedule rule covers."""
    return write(
        tmp_path_factory.mktemp("models") / "argmax.onnx",
        [helper.make_node("ArgMax", ["x"], ["z"], "best", axis=1)],
        [value("x", [24, 32])],
        [value("z", [24, 1], "INT64")],
    )


def warned(work: Callable[[], object]) -> list[str]:
    """The warnings of some work."""
    events: list[StepEvent] = []
    with listening(events.append):
        work()
    return [event.detail for event in events if event.state == "warning"]


@pytest.mark.parametrize("profile", ["local", "rpi4"])
def test_a_naive_kernel_is_told_of_each_time(argmax: Path, profile: str) -> None:
    """Compiled or from the cache; and once, though a check compiles it for this machine too."""
    subject, target = find_subject(str(argmax)), load_profile(profile)
    first = warned(lambda: build(subject, target))
    assert len(first) == 1
    assert first[0].startswith("best: no schedule rule covers it")
    package = []
    assert warned(lambda: package.append(build(subject, target).package)) == first
    assert warned(lambda: inspect_package(package[0])) == first
