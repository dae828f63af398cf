"""Pipeline and board in, what the pipeline made of its data out."""

from __future__ import annotations

from edgetvm.boards.profile import load_profile
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.farm.governing import governed
from edgetvm.farm.inventory import LOCAL, Board
from edgetvm.farm.standing_boards import connected
from edgetvm.measure.pipelines import BuiltStage, PipelineRun, run_pipeline
from edgetvm.recipes import Pipeline, load_recipe
from edgetvm.workflow.build import build
from edgetvm.workflow.subject import find_subject


def work_through(
    pipeline: Pipeline,
    board: Board = LOCAL,
    threads: int | None = None,
    options: CompileOptions = DEFAULTS,
    allow_mismatch: bool = False,
) -> PipelineRun:
    """Build every stage of a pipeline for a board, and run its data through them there.

    Args:
        pipeline: from `edgetvm.recipes.load_pipeline`.
        board: from `edgetvm.farm.find_board`; this machine without it.
        threads: for each stage; all cores of the board without it.
        options: how the stages are compiled.
        allow_mismatch: go on although a stage's answers, or the pipeline's accuracy, are wrong.

    Raises:
        EdgetvmError: see `build` and `edgetvm.measure.pipelines.run_pipeline`.
    """
    profile = load_profile(board.profile)
    stages = {}
    for name, recipe in pipeline.stages.items():
        subject = find_subject(recipe)
        built = build(subject, profile, allow_mismatch=allow_mismatch, options=options)
        stages[name] = BuiltStage(load_recipe(recipe), built.package, built.source)
    with connected(board, f"pipeline {pipeline.name}") as session, governed([session.board]):
        return run_pipeline(
            session,
            pipeline,
            stages,
            threads=threads,
            emulated=profile.emulated,
            allow_mismatch=allow_mismatch,
        )
