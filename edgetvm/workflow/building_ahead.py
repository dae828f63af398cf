"""Packages that are wanted soon, built meanwhile by other processes on the other cores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edgetvm.base.errors import EdgetvmError
from edgetvm.base.steps import unheard
from edgetvm.base.workers import Answer, Worker
from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.options import CompileOptions
from edgetvm.recipes import run_module
from edgetvm.workflow.build import build
from edgetvm.workflow.subject import Subject

_TIMEOUT_S = 3600.0


@dataclass(frozen=True)
class _Wanted:
    subject: Subject
    profile: BoardProfile
    options: tuple[CompileOptions, ...]


def building(*modules: str) -> Answer:
    """In such a process: builds untuned packages, which it leaves in the cache.

    Args:
        modules: of the recipe, whose functions it names.
    """
    import tvm  # noqa: F401 - it takes seconds, in which the owner is at work too

    for module in modules:
        run_module(Path(module))
    return _build


def _build(wanted: _Wanted) -> None:
    with unheard():
        model = wanted.subject.load()
        for options in wanted.options:
            with suppress(EdgetvmError):
                build(wanted.subject, wanted.profile, options=options, model=model)


@contextmanager
def built_ahead(
    subject: Subject, profile: BoardProfile, options: Sequence[CompileOptions]
) -> Iterator[None]:
    """While the block builds these packages in their order, others build them from the last one on.

    A package is built once: whoever comes second waits for it, and takes it from the cache. What
    fails in another process fails in the block too, which tells why. At the end of the block none
    of them computes any more.
    """
    count = min(len(os.sched_getaffinity(0)) - 1, len(options))
    module = subject.recipe.module if subject.recipe is not None else None
    modules = [] if module is None else [str(module)]
    workers = [Worker(building, *modules) for _ in range(count)]
    threads = ThreadPoolExecutor(max(1, count), thread_name_prefix="build ahead")
    try:
        for at, worker in enumerate(workers):
            wanted = _Wanted(subject, profile, tuple(options[::-1][at::count]))
            threads.submit(worker.ask, wanted, _TIMEOUT_S)
        yield
    finally:
        for worker in workers:
            worker.close()
        threads.shutdown(cancel_futures=True)
