"""Python files beside recipes, whose functions the recipes name."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from edgetvm.base.errors import ConfigurationError, EdgetvmError
from edgetvm.recipes.registry import DATA, METRICS, MODELS, POSTPROCESS, PREPROCESS, failure_of


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
            for registry in (MODELS, DATA, PREPROCESS, POSTPROCESS, METRICS):
                registries.enter_context(registry.unchanged_by_failure())
            spec.loader.exec_module(module)
    except EdgetvmError:
        del sys.modules[name]
        raise
    except Exception as error:
        del sys.modules[name]
        raise failure_of(path, error) from error
    return module
