"""Relay models, which TVM itself stopped reading in 0.20, into Relax.

`text` and `savejson` read a file into a `Program`, `params` the parameters beside it, `lower`
makes Relax of both with the table in `operators`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import EdgetvmError, InputError, ModelUnreadableError
from edgetvm.base.words import plural
from edgetvm.models.counting import parameter_counts
from edgetvm.models.imported import (
    Imported,
    bound_array,
    check_names,
    fixed_shapes,
    relax_signature,
    shape_changes,
)
from edgetvm.models.importers import unsupported
from edgetvm.models.model import DTYPES, ImportOptions
from edgetvm.models.relay import savejson, text
from edgetvm.models.relay.ast import (
    Call,
    Expr,
    Program,
    TensorType,
    TupleType,
    Unsupported,
    Var,
    malformed,
    reachable,
)
from edgetvm.models.relay.lower import lower
from edgetvm.models.relay.operators import OPERATORS
from edgetvm.models.relay.params import parameters_file, parameters_from
from edgetvm.models.relay.scales import quantised_tensors

# Operators with the arguments that are parameters in every model: one without a value is missing.
_PARAMETER_ARGUMENTS: dict[str, tuple[int, ...]] = {
    **{f"nn.conv{count}d": (1,) for count in (1, 2, 3)},
    **{f"nn.conv{count}d_transpose": (1,) for count in (1, 2, 3)},
    "nn.dense": (1,),
    "nn.bias_add": (1,),
    "nn.prelu": (1,),
    "nn.batch_norm": (1, 2, 3, 4),
    "nn.layer_norm": (1, 2),
    "nn.instance_norm": (1, 2),
    "nn.group_norm": (1, 2),
    "qnn.quantize": (1, 2),
    "qnn.dequantize": (1, 2),
    "qnn.requantize": (1, 2, 3, 4),
    "qnn.conv2d": (1, 2, 3, 4, 5),
    "qnn.dense": (1, 2, 3, 4, 5),
    "qnn.add": (2, 3, 4, 5, 6, 7),
}
# What TVM's own importers call parameters, and networks of tvm.relay.testing and of PyTorch.
_PARAMETER_NAME = re.compile(
    r"v?_param_\d+|.*[._](?:weight|bias|gamma|beta|(?:moving|running)_(?:mean|var)|zero_point)"
)
_MOST_NAMED = 100


def read(path: Path, options: ImportOptions) -> Imported:
    """Import Relay text or JSON. See `edgetvm.models.importers.import_model` for the errors."""
    try:
        return _read(path, options)
    except EdgetvmError as error:
        error.where = error.where or str(path)
        raise


def _read(path: Path, options: ImportOptions) -> Imported:
    program = _program(path)
    parameters = _renamed(program.main.parameters)
    found = _parameters(path)
    refuse_unknown(program, path)
    constants, changes = _bound(parameters, found, path)
    free = {name: variable for name, variable in parameters.items() if name not in constants}
    declared = {name: _declared(name, variable) for name, variable in free.items()}
    axes = {name: one.shape for name, one in declared.items()}
    check_names(list(axes), options, path)
    _refuse_missing(program, free, options, path)
    for name in options.bindings:
        constants[name] = bound_array(name, axes[name], declared[name].dtype, options, path)
        changes.append(f"input {name} became the constant {options.bindings[name]}")
    axes = {name: sizes for name, sizes in axes.items() if name not in constants}
    if not axes:
        raise malformed("it takes no inputs: there is nothing to compute")
    shapes = fixed_shapes(axes, options, path)
    changes += shape_changes(axes, shapes, options)
    inputs = {name: (shape, declared[name].dtype) for name, shape in shapes.items()}
    module, outputs, nodes = lower(program, inputs, constants, parameters)
    names = _output_names(program, outputs)
    return Imported(
        module=module,
        signature=relax_signature(module, list(shapes), names, path),
        nodes=nodes,
        operators=dict(operator_counts(program)),
        parameters=parameter_counts(module),
        quantised=quantised_tensors(program, parameters, constants),
        changes=tuple(changes),
    )


def _program(path: Path) -> Program:
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise malformed("not text") from error
    # What it holds decides, for people give either form any of the suffixes.
    first = content.lstrip()[:1]
    if first == "{" or (path.suffix.lower() == ".json" and first not in "#d"):
        return savejson.program_from(content)
    return text.program_from(content)


def files_beside(path: Path) -> list[Path]:
    """The file of parameters, if there is one."""
    beside = parameters_file(path)
    return [beside] if beside else []


def _output_names(program: Program, count: int) -> list[str]:
    """What TVM's TFLite importer noted down, or numbers."""
    noted = program.main.attributes.get("output_tensor_names")
    if isinstance(noted, list) and len(noted) == count == len({str(name) for name in noted}):
        return [str(name) for name in noted]
    return [f"output_{number}" for number in range(count)]


def _renamed(variables: Sequence[Var]) -> dict[str, Var]:
    """Parameters by name; of two that share one, the later gets a number, as in TVM's text."""
    named: dict[str, Var] = {}
    taken = {variable.name for variable in variables}
    numbers: Counter[str] = Counter()
    for variable in variables:
        name = variable.name
        while name in named or (name != variable.name and name in taken):
            numbers[variable.name] += 1
            name = f"{variable.name}{numbers[variable.name]}"
        named[name] = variable
    return named


def _parameters(path: Path) -> Mapping[str, NDArray[np.generic]]:
    beside = parameters_file(path)
    if beside is None:
        return {}
    try:
        return parameters_from(beside.read_bytes())
    except OSError as error:
        raise ModelUnreadableError(
            (error.strerror or "cannot be read").lower(), where=str(beside), mend="check the path"
        ) from error
    except ModelUnreadableError as error:
        error.where = str(beside)
        raise


def _bound(
    variables: Mapping[str, Var], found: Mapping[str, NDArray[np.generic]], path: Path
) -> tuple[dict[str, NDArray[np.generic]], list[str]]:
    """The parameters that have a value, and what is to be said of the others.

    Raises:
        InputError: one does not fit what the program declares.
    """
    constants: dict[str, NDArray[np.generic]] = {}
    used = set()
    for name, variable in variables.items():
        key = _key(name, variables, found)
        if key is None:
            continue
        used.add(key)
        array, declared = found[key], variable.type
        if isinstance(declared, TensorType) and not _fits(array, declared):
            shape = ", ".join("?" if size is None else str(size) for size in declared.shape)
            raise InputError(
                f"parameter {name!r} is {array.dtype.name}{list(array.shape)}, and the model "
                f"declares {declared.dtype}[{shape}]",
                where=str(path),
                mend="the parameters are of another model, or of another state of it",
            )
        constants[name] = array
    unused = len(found) - len(used)
    changes = []
    if constants:
        changes.append(f"{plural(len(constants), 'parameter')} from the file beside it")
    if unused:
        changes.append(f"{plural(unused, 'parameter')} of the file not used")
    return constants, changes


def _key(
    name: str, variables: Mapping[str, Var], found: Mapping[str, NDArray[np.generic]]
) -> str | None:
    """What the file of parameters calls a variable.

    TVM's text puts a `v` before a name that does not begin with a letter, and a number after one
    that another function has used before.
    """
    bare = name[1:] if name[:1] == "v" and not name[1:2].isalpha() else name
    for key in (name, bare):
        if key in found:
            return key
    declared, stem = variables[name].type, bare.rstrip("0123456789")
    if stem in found and stem not in variables and isinstance(declared, TensorType):
        return stem if _fits(found[stem], declared) else None
    return None


def _fits(array: NDArray[np.generic], declared: TensorType) -> bool:
    return (
        declared.dtype == array.dtype.name
        and len(declared.shape) == array.ndim
        and all(s in (None, t) for s, t in zip(declared.shape, array.shape, strict=True))
    )


def _declared(name: str, variable: Var) -> TensorType:
    """The type of an input.

    Raises:
        ModelUnreadableError: it is no tensor of plain numbers.
    """
    declared = variable.type
    if not isinstance(declared, TensorType):
        kind = "a tuple" if isinstance(declared, TupleType) else "of no tensor type"
        raise malformed(f"input {name!r:.60} is {kind}")
    if declared.dtype not in DTYPES:
        raise malformed(f"input {name!r:.60} is {declared.dtype:.40}")
    return declared


def operator_counts(program: Program) -> Counter[str]:
    """How often each operator occurs in what `main` leads to."""
    return Counter(
        node.callee
        for node in reachable(program)
        if isinstance(node, Call) and isinstance(node.callee, str)
    )


def refuse_unknown(program: Program, path: Path) -> None:
    """Name all that no table covers, in one error.

    Raises:
        UnsupportedOperatorsError: there is some.
    """
    unknown: dict[str, list[str]] = {}
    for node in reachable(program):
        if isinstance(node, Unsupported):
            unknown.setdefault(node.what[:80], []).append(str(node.place))
        elif (
            isinstance(node, Call) and isinstance(node.callee, str) and node.callee not in OPERATORS
        ):
            unknown.setdefault(node.callee[:80], []).append(str(node.place))
    if unknown:
        raise unsupported(path, unknown)


def _refuse_missing(
    program: Program, free: Mapping[str, Var], options: ImportOptions, path: Path
) -> None:
    """Refuse parameters without a value; an input that only looks like one is named in options.

    Raises:
        InputError: naming them.
    """
    by_identity = {id(variable): name for name, variable in free.items()}
    wanted = {name for name in free if _PARAMETER_NAME.fullmatch(name)}
    for node in reachable(program):
        if isinstance(node, Call) and isinstance(node.callee, str):
            for position in _PARAMETER_ARGUMENTS.get(node.callee, ()):
                if position < len(node.arguments):
                    name = by_identity.get(id(_origin(node.arguments[position])))
                    wanted |= {name} if name is not None else set()
    missing = [
        name
        for name in free
        if name in wanted and name not in options.shapes and name not in options.bindings
    ]
    if not missing:
        return
    beside = parameters_file(path)
    place = f"not in {beside.name}" if beside else f"no {path.stem}.params lies beside the model"
    shown = ", ".join(f"{name:.60}" for name in missing[:_MOST_NAMED])
    shown += f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
    raise InputError(
        f"{plural(len(missing), 'parameter')} without a value: {shown}",
        where=str(path),
        mend=f"{place}: save them with relay.save_param_dict, or say that it is an input: "
        f"--shape {missing[0]}=…",
    )


def _origin(node: Expr) -> Expr:
    """What an expression only casts or reshapes."""
    for _ in range(32):
        if not (
            isinstance(node, Call)
            and node.callee in ("cast", "reshape", "transpose", "squeeze", "expand_dims", "copy")
            and node.arguments
        ):
            break
        node = node.arguments[0]
    return node
