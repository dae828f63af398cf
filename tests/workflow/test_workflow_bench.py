"""Several models on one board, which may go away in between."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from edgetvm.base.errors import BoardCrashError, BoardGoneError, EdgetvmError
from edgetvm.farm import Board
from edgetvm.farm.tracker_client import Address
from edgetvm.workflow import Subject, bench_each

BOARD = Board("bench-box", "local", Address("127.0.0.1", 1), "box")


@pytest.mark.parametrize(
    ("error", "measured"),
    [(BoardCrashError("the model's code died"), 2), (BoardGoneError("the connection broke"), 1)],
)
def test_a_board_that_is_gone_is_not_asked_again(
    error: EdgetvmError, measured: int, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of three models ends the session; the third finds the board, or is not tried."""
    asked = []

    def one(subject: Subject, **_: object) -> object:
        asked.append(subject.name)
        if len(asked) == 2:
            raise error
        return object()

    monkeypatch.setattr(import_module("edgetvm.workflow.bench"), "bench", one)
    folder = tiny_onnx.parent
    names = [str(folder / f"{name}.onnx") for name in "abc"]
    for name in names:
        Path(name).write_bytes(tiny_onnx.read_bytes())
    found = bench_each(names, [BOARD])
    assert len(found.measurements) == measured
    assert list(found.failures) == names[1 : 1 + 3 - measured]
    assert len(asked) == 1 + measured
