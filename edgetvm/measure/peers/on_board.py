"""The board's end of peers that are timed there: it starts workers and gives them turns.

    python3 -m edgetvm.measure.peers.on_board

Each request is a line of JSON, and so is each answer; the first line says that it is ready. It
ends, and all workers with it, when its standard input does, or when nothing was asked for long.
"""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgetvm.measure.peers import crew
from edgetvm.measure.peers.answers import answer_error
from edgetvm.measure.peers.case import Task, case_in

# A connection may be gone without a word.
_SILENCE_S = 900.0


class _Peers:
    """The workers, in the order of the tasks that could be loaded."""

    def __init__(self) -> None:
        self.workers: list[crew.Worker] = []

    def start(
        self, folder: str, name: str, threads: int, timeout_s: float, tasks: list[dict[str, str]]
    ) -> dict[str, Any]:
        """Load a case's tasks. Answers with those that are `ready`, and why others are `lost`."""
        case = case_in(Path(folder), name)
        made = [
            Task(one["engine"], one["setting"], case, threads, packages=one["packages"])
            for one in tasks
        ]
        lost: list[dict[str, str]] = []

        def lose(task: Task, why: str) -> None:
            lost.append({"engine": task.engine, "setting": task.setting, "why": why})

        self.workers = crew.start(made, os.cpu_count() or 1, timeout_s, lose)
        ready = [
            {
                "engine": one.task.engine,
                "setting": one.task.setting,
                "facts": one.facts,
                # JSON has no infinity.
                "error": str(answer_error(one.answers, case.expected())),
            }
            for one in self.workers
        ]
        return {"ready": ready, "lost": lost}

    def turn(self, worker: int, warm_s: float, seconds: float, least: int) -> dict[str, Any]:
        """The samples of one worker's turn, in nanoseconds; or why it is `lost`."""
        try:
            return {"samples_ns": self.workers[worker].turn(warm_s, seconds, least)}
        except crew.WorkerLost as error:
            return {"lost": str(error)}


def main() -> None:
    """Answer requests until there are no more."""
    peers = _Peers()
    answering: dict[str, Callable[..., dict[str, Any]]] = {
        "start": peers.start,
        "turn": peers.turn,
    }
    _say({"ready": True})
    try:
        while select.select([sys.stdin], [], [], _SILENCE_S)[0] and (line := sys.stdin.readline()):
            request = json.loads(line)
            _say(answering[request.pop("do")](**request))
    finally:
        crew.end(peers.workers)


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
