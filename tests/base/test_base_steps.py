"""Steps: who hears what, in which order, at which depth."""

from __future__ import annotations

import time

import pytest

from edgetvm.base.steps import StepEvent, listening, note, step, warn


def test_steps_nest_and_finish() -> None:
    heard: list[StepEvent] = []
    with listening(heard.append), step("outer") as outer:
        with step("inner") as inner:
            inner.advance(1, 3, "third")
            inner.advance(2, 3)
            note("by the way")
        outer.detail = "done well"
        warn("careful")
    assert [(e.title, e.state, e.depth, e.done, e.total, e.detail) for e in heard] == [
        ("outer", "started", 0, 0, 0, ""),
        ("inner", "started", 1, 0, 0, ""),
        ("inner", "advanced", 1, 1, 3, "third"),
        ("inner", "advanced", 1, 2, 3, "third"),
        ("", "note", 2, 0, 0, "by the way"),
        ("inner", "finished", 1, 0, 0, "third"),
        ("", "warning", 1, 0, 0, "careful"),
        ("outer", "finished", 0, 0, 0, "done well"),
    ]


def test_elapsed_time_only_grows() -> None:
    heard: list[StepEvent] = []
    with listening(heard.append), step("slow") as this:
        time.sleep(0.02)
        this.advance(1)
    started, advanced, finished = (event.elapsed_s for event in heard)
    assert 0 <= started <= advanced <= finished
    assert advanced >= 0.02  # what the block slept


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt()])
def test_a_failed_step_is_told_once_and_depth_returns(error: BaseException) -> None:
    heard: list[StepEvent] = []
    with listening(heard.append):
        with pytest.raises(type(error)), step("outer"), step("inner"):
            raise error
        with step("next"):
            pass
    assert [(e.title, e.state, e.depth) for e in heard] == [
        ("outer", "started", 0),
        ("inner", "started", 1),
        ("inner", "failed", 1),
        ("outer", "failed", 0),
        ("next", "started", 0),
        ("next", "finished", 0),
    ]


def test_every_listener_hears_until_its_block_ends() -> None:
    first: list[StepEvent] = []
    second: list[StepEvent] = []
    with listening(first.append):
        with listening(second.append):
            note("both")
        note("one")
    note("nobody")
    assert [event.detail for event in first] == ["both", "one"]
    assert [event.detail for event in second] == ["both"]
