"""The benchmark of recipes: what counts as passed, and what is run again after an end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.recipes import Outcomes, Work, try_all
from edgetvm.base.errors import MissingToolError, NumericError
from edgetvm.farm import Board, find_board
from edgetvm.measure import Plan


def test_what_cannot_be_had_is_left_out_and_what_passed_is_not_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def work(name: str, board: Board, plan: Plan) -> Mapping[str, float]:
        ran.append(name)
        if name == "absent":
            raise MissingToolError("no weights", mend="run: pip download weights")
        if name == "wrong":
            raise NumericError("off by 3")
        return {"top1": 0.5} if name == "good" else {"decision_agreement_pct": 100}

    works: dict[str, Work] = dict.fromkeys(("good", "compared", "absent", "wrong"), work)
    kept = tmp_path / "outcomes.json"
    for _ in range(2):
        try_all(works, find_board("local"), Plan(), Outcomes(kept), "local")
    assert ran == ["good", "compared", "absent", "wrong", "absent", "wrong"]
    told = [line.split(maxsplit=4)[-1] for line in capsys.readouterr().out.splitlines()]
    assert told[:4] == [
        "passed, top1 0.5",
        "passed, without accuracy, decision_agreement_pct 100",
        "left out: no weights (run: pip download weights)",
        "failed: off by 3",
    ]
    outcomes = Outcomes(kept)
    assert [name for name in works if outcomes.passed("local", name)] == ["good", "compared"]
    assert not outcomes.passed("aarch64", "good")
