"""Packages that nobody named: none takes the place of another in silence."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgetvm.base.steps import StepEvent, listening
from edgetvm.compile.options import CompileOptions
from edgetvm.package import Package
from edgetvm.workflow import keep_package, package_path


@pytest.mark.parametrize(
    ("profiles", "options", "tuned", "name"),
    [
        (["rpi4"], CompileOptions(), False, "vision-det-rpi4"),
        (["rpi4"], CompileOptions(2), False, "vision-det-rpi4-O2"),
        (["rpi4"], CompileOptions(), True, "vision-det-rpi4-tuned"),
        (["rpi5", "rpi4"], CompileOptions(4, "NHWC", "fp16"), True,
         "vision-det-rpi5-rpi4-O4-NHWC-fp16-tuned"),
    ],
)  # fmt: skip
def test_a_name_holds_what_is_unusual(
    profiles: list[str], options: CompileOptions, tuned: bool, name: str
) -> None:
    assert package_path("vision/det", profiles, options, tuned) == Path(f"{name}.edgetvm")


def test_another_package_of_the_same_name_is_not_lost_in_silence(
    tiny_package: Package, tmp_path: Path
) -> None:
    other = dataclasses.replace(tiny_package, data=tiny_package.data + b"?")
    warned: list[list[str]] = []
    path = tmp_path / "tiny-local.edgetvm"
    for package in (tiny_package, tiny_package, other):
        events: list[StepEvent] = []
        with listening(events.append):
            keep_package(package, path)
        assert path.read_bytes() == package.data
        warned.append([event.detail for event in events if event.state == "warning"])
    assert warned[:2] == [[], []]
    (sentence,) = warned[2]
    assert "tiny-local.edgetvm was another package" in sentence
    assert "--output" in sentence
