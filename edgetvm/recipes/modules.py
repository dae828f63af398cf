"""Python files beside recipes, whose functions the recipes name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from edgetvm.base.errors import ConfigurationError, EdgetvmError
from edgetvm.base.named_files import NamedFile
from edgetvm.base.yamlfile import Keys
from edgetvm.recipes.registry import (
    DATA,
    METRICS,
    MODELS,
    PIPELINES,
    POSTPROCESS,
    PREPROCESS,
    failure_of,
)

_REGISTRIES = (MODELS, DATA, PREPROCESS, POSTPROCESS, METRICS, PIPELINES)


def run_module(path: Path) -> ModuleType:
    """The module of a file, run once in a process: what it registers then can be named.

    Raises:
        ConfigurationError: there is no such file, or its code fails; then it registers nothing.
    """
    path = path.resolve()
    name = f"edgetvm_recipe_{path.stem}_{sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigurationError("no such Python file", where=str(path), mend="see `module`")
    # Records of a module find their annotations through this.
    module = sys.modules[name] = module_from_spec(spec)
    try:
        with ExitStack() as registries:
            for registry in _REGISTRIES:
                registries.enter_context(registry.unchanged_by_failure())
            spec.loader.exec_module(module)
    except EdgetvmError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise failure_of(path, error) from error
    return module


def code_of(found: NamedFile) -> Callable[[Keys], Keys]:
    """What the keys of a file go through before they are read: its module is run, or refused."""
    return partial(with_code if found.is_chosen else refused_code, found.path)


def with_code(path: Path, keys: Keys) -> Keys:
    """A recipe's keys, once the functions of its module that they may name are there."""
    module = keys.get("module")
    if isinstance(module, str) and module.endswith(".py"):
        run_module(path.absolute().parent / module)
    return keys


def refused_code(path: Path, keys: Keys) -> Keys:
    """The keys of a recipe that nobody chose.

    Raises:
        ConfigurationError: it has a module.
    """
    if "module" in keys:
        raise ConfigurationError(
            "it has code of its own, which is not run because it lies in the current folder",
            where=str(path),
            mend="name its file to run it, or its folder in $EDGETVM_RECIPES",
        )
    return keys
