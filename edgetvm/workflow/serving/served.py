"""The models that a server has: packages that were verified, opened, and tried on their sample."""

from __future__ import annotations

import os
import platform
import re
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgetvm.base.errors import UsageError
from edgetvm.base.files import write_bytes
from edgetvm.base.steps import step
from edgetvm.base.words import plural
from edgetvm.measure.deployment import correctness_of
from edgetvm.models.model import Signature
from edgetvm.package.archive import Package
from edgetvm.package.crossbuild import ARCHITECTURES, build_runtime
from edgetvm.package.deployed import opened
from edgetvm.package.executor import fitting_target
from edgetvm.package.gate import refusal
from edgetvm.recipes import Recipe
from edgetvm.workflow.serving.executors import CLOSING_S, Executors, shares
from edgetvm.workflow.serving.metrics import ModelMetrics

_VERSION_DIGITS = 12


@dataclass(frozen=True)
class Offer:
    """A package to serve.

    Attributes:
        package: verified.
        recipe: that says what goes in and what comes out, for its page; None without a page.
    """

    package: Package
    recipe: Recipe | None = None


@dataclass(frozen=True)
class Share:
    """How much of this machine each model has.

    Attributes:
        executors: requests of a model that run at once.
        threads: that share a run; the cores divided among the executors without it.
    """

    executors: int = 1
    threads: int | None = None

    @property
    def threads_each(self) -> int:
        """Threads of one executor."""
        return self.threads or max(1, len(os.sched_getaffinity(0)) // self.executors)


@dataclass(frozen=True)
class ServedModel:
    """One version of a model, ready to run.

    Attributes:
        name: in addresses: the package's, with `-` for what they do not have as it is.
        version: the first digits of the file's SHA-256.
        recipe: see `Offer`.
    """

    name: str
    version: str
    signature: Signature
    recipe: Recipe | None
    executors: Executors
    metrics: ModelMetrics


def served(offer: Offer, share: Share) -> ServedModel:
    """Open a package for each executor, and have it answer its sample.

    Raises:
        PackageError: it is not for this machine.
        NumericError: its answers to its sample are wrong.
        CompileError, MissingToolError, StorageError: see `edgetvm.package.crossbuild`.
    """
    package = offer.package
    name = re.sub(r"[^A-Za-z0-9._~-]+", "-", package.manifest.name)
    with step(f"open {name}") as this:
        executors = _executors(name, package, share)
        this.detail = (
            f"{plural(share.executors, 'executor')}, {plural(share.threads_each, 'thread')} each"
        )
    version = package.sha256[:_VERSION_DIGITS]
    metrics = ModelMetrics(lambda: executors.waiting)
    return ServedModel(name, version, package.manifest.signature, offer.recipe, executors, metrics)


def _executors(name: str, package: Package, share: Share) -> Executors:
    target = fitting_target(package.manifest)
    machine, threads = platform.machine(), share.threads_each
    runtime = build_runtime(machine, "glibc") if machine in ARCHITECTURES else None
    with tempfile.TemporaryDirectory(prefix="edgetvm-") as folder:
        path = Path(folder, f"{name}.edgetvm")  # what is opened is what was verified
        write_bytes(path, package.data)
        executors = Executors(
            name,
            lambda: opened(path, package, target, runtime, threads),
            shares(share.executors, threads),
        )
    try:
        ran = executors.submit(package.sample_inputs).result()
        correctness = correctness_of(package, target, ran.outputs, "this machine")
        if not correctness.passed:
            raise refusal(correctness, package.manifest.name)
    except BaseException:
        executors.close()
        raise
    return executors


@dataclass(frozen=True)
class Models:
    """All that a server has. The first of several versions of a model is the one usually meant.

    Attributes:
        all: in the order in which they were offered.
    """

    all: tuple[ServedModel, ...]

    def find(self, name: str, version: str | None = None) -> ServedModel | None:
        """The model of that name, of that version or the usual one; None where there is none."""
        for one in self.all:
            if one.name == name and version in (None, one.version):
                return one
        return None

    def versions(self, name: str) -> list[str]:
        """Of the model of that name, the usual one first."""
        return [one.version for one in self.all if one.name == name]

    def close(self, within_s: float = CLOSING_S) -> list[str]:
        """End all executors. Names those whose run does not end in time, and is left behind."""
        until_s = time.monotonic() + within_s
        return [
            one.name
            for one in self.all
            if not one.executors.close(max(0.0, until_s - time.monotonic()))
        ]


def open_models(offers: Iterable[Offer], share: Share) -> Models:
    """Open them all, or none.

    Raises:
        UsageError: one is named twice.
        EdgetvmError: see `served`.
    """
    opened: list[ServedModel] = []
    try:
        for offer in offers:
            opened.append(served(offer, share))
            if Models(tuple(opened[:-1])).find(opened[-1].name, opened[-1].version):
                raise UsageError(
                    "it is named twice", where=offer.package.manifest.name, mend="name it once"
                )
    except BaseException:
        Models(tuple(opened)).close()
        raise
    return Models(tuple(opened))
