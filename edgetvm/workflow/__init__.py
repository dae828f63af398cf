"""The verbs: what each command does, for Python callers too."""

from edgetvm.workflow.bench import bench
from edgetvm.workflow.build import Built, build
from edgetvm.workflow.running import RunResult, run
from edgetvm.workflow.subject import Subject, find_subject

__all__ = ["Built", "RunResult", "Subject", "bench", "build", "find_subject", "run"]
