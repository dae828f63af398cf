"""`edgetvm estimate`: real code under QEMU, priced; and what it refuses."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from click.testing import CliRunner
from real_command import Done, edgetvm, refused
from rich.console import Console

from edgetvm.boards import load_profile
from edgetvm.cli.estimate import command
from edgetvm.cli.estimate_views import estimates_view
from edgetvm.estimate.estimating import Estimate, KernelEstimate, ModelEstimate
from edgetvm.estimate.kernels import CallCost

pytestmark = pytest.mark.usefixtures("session_cache")


@pytest.fixture
def several(tiny_onnx: Path) -> Done:
    done = edgetvm(
        "estimate", tiny_onnx, "--device", "rpi4,rpi3-32", "--deadline-ms", "1000", "--json"
    )
    assert done.code == 0, done.err
    return done


def test_a_document_tells_ranges_kernels_and_that_nothing_was_measured(several: Done) -> None:
    told = several.document
    assert several.is_clean()
    assert told["what"] == "estimated, not measured"
    assert [one["profile"] for one in told["estimates"]] == ["rpi4", "rpi3-32"]
    for one in told["estimates"]:
        profile = load_profile(one["profile"])
        assert profile.core is not None
        assert one["least_ms"] == pytest.approx(one["estimated_ms"] / profile.core.error)
        most_ms = None if one["spills"] else pytest.approx(one["estimated_ms"] * profile.core.error)
        assert one["most_ms"] == most_ms
        cycles = sum(kernel["estimated_cycles"] for kernel in one["kernels"])
        assert cycles / profile.clock_mhz / 1e3 == pytest.approx(one["estimated_ms"])
        # 9 x 3 products for each of 4 x 64 points take more than one instruction for 4 of them,
        # and less than ten for each.
        assert 1728 < one["instructions"] < 69120
        assert one["verdict"] == ("too close to tell" if one["spills"] else "enough")


def test_people_see_one_line_a_board_and_the_verdict(tiny_onnx: Path) -> None:
    done = edgetvm(
        "estimate", tiny_onnx, "--device", "rpi4", "--deadline-ms", "0.000001", cold=True
    )
    assert done.code == 0, done.err
    assert "estimated" in done.out
    assert "too slow" in done.out


def test_people_see_kernels_and_the_known_error(tiny_onnx: Path) -> None:
    done = edgetvm("estimate", tiny_onnx, "--device", "beagleplay")
    assert done.code == 0, done.err
    assert "nothing was measured" in done.out
    assert "a factor of 2" in done.out


def test_a_model_whose_kernels_spill_has_no_upper_end() -> None:
    profile = load_profile("rpi4")
    assert profile.core is not None
    spilling = Estimate(CallCost(1000, 1500.0, 0.0, spilled=0.5), 1500.0, error=1.5)
    kernel = KernelEstimate("k", "conv2d", 1, spilling)
    told = io.StringIO()
    found = ModelEstimate("m", profile, profile.core, (kernel,), 1, None)
    Console(width=120, file=told).print(estimates_view([found], None))
    assert told.getvalue().count("over 0.00100 ms: spills") == 2


def test_a_core_that_nothing_is_known_of_is_refused(tiny_onnx: Path) -> None:
    done = edgetvm("estimate", tiny_onnx, "--device", "qemu-armv7")
    assert refused(done, 3)
    assert "add `core` to it" in done.err


def test_a_model_needs_a_board_named(tiny_onnx: Path) -> None:
    assert "--device" in edgetvm("estimate", tiny_onnx).err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("a.edgetvm", "-O", "1"), "as it was compiled: leave -O out"),
        (("a.edgetvm", "--calibrate", "b"), "name the model's file"),
        (("a.onnx", "--calibrate", "b", "--tuned"), "leave --tuned out"),
    ],
)
def test_what_would_change_nothing_is_refused(words: tuple[str, ...], told: str) -> None:
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())


def test_a_search_by_estimates_asks_for_no_board_things(tiny_onnx: Path) -> None:
    done = edgetvm("tune", tiny_onnx, "--device", "rpi4", "--estimate", "--cold")
    assert done.code == 2
    assert "--cold" in done.err
