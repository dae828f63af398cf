"""Builds candidates in warm worker processes.

TVM's LocalBuilder starts new processes for every batch, and each parses the intrinsics of every
GPU: 20 to 35 s a batch. A worker here imports TVM once, and a candidate then takes 0.1 s.
Candidates become shared objects, so that a board needs no compiler.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any

from edgetvm.compile.kernel_pipeline import kernel_pipeline
from edgetvm.compile.linker import link_shared
from edgetvm.compile.options import Functions

_TIMEOUT_S = 60.0


def _build(module_json: str, target_json: str, folder: str, functions: Functions) -> str:
    """In a worker: one candidate to a shared object. Answers with its path."""
    import tvm
    from tvm.s_tir.transform import RemoveWeightLayoutRewriteBlock

    module = tvm.ir.load_json(module_json)
    target = tvm.ir.load_json(target_json)
    module = RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(module)
    built = tvm.tirx.build(module, target=target, pipeline=kernel_pipeline(functions))
    path = Path(tempfile.mkdtemp(dir=folder), "candidate.so")
    built.export_library(str(path), fcompile=link_shared, workspace_dir=str(path.parent))
    return str(path)


class WarmBuilder:
    """A pool of workers that outlives batches. Use with `with`."""

    def __init__(self, workers: int, scratch: Path, functions: Functions = "accurate") -> None:
        """Start the workers.

        Args:
            workers: how many.
            scratch: folder for candidates; the caller removes it.
            functions: the grade of elementary functions.
        """
        from tvm.support.popen_pool import PopenPoolExecutor

        words = None if os.environ.get("EDGETVM_NATIVE_LOG") else subprocess.DEVNULL
        self._scratch, self._functions = scratch, functions
        # TVM's pool and not Python's: there a worker that dies takes the whole batch with it, and
        # workers run the user's main script once more.
        self._pool = PopenPoolExecutor(workers, timeout=_TIMEOUT_S, stdout=words, stderr=words)

    def build(self, inputs: Sequence[Any]) -> list[Any]:
        """Build candidates; a crash or timeout costs that candidate, and its worker is renewed.

        Args:
            inputs: MetaSchedule's BuilderInput, each a module and its target.

        Returns:
            MetaSchedule's BuilderResult for each.
        """
        import tvm
        from tvm.s_tir.meta_schedule.builder import BuilderResult

        futures = [
            self._pool.submit(
                _build,
                tvm.ir.save_json(one.mod),
                tvm.ir.save_json(one.target),
                str(self._scratch),
                self._functions,
            )
            for one in inputs
        ]
        return [BuilderResult(*_result(future)) for future in futures]

    def as_metaschedule(self) -> Any:
        """This builder as MetaSchedule takes it."""
        from tvm.ir.utils import derived_object
        from tvm.s_tir.meta_schedule.builder import PyBuilder

        warm = self

        @derived_object
        class Adapter(PyBuilder):  # type: ignore[misc]
            def build(self, build_inputs: Sequence[Any]) -> list[Any]:
                return warm.build(build_inputs)

        return Adapter()

    def __enter__(self) -> WarmBuilder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False)


def _result(future: Future[str]) -> tuple[str | None, str | None]:
    try:
        return future.result(), None
    except (TimeoutError, ChildProcessError) as error:
        return None, f"the build was lost: {type(error).__name__}"
    except Exception as error:  # whatever the compiler raises costs this candidate alone
        return None, str(error)
