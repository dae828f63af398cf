"""All tensors between a model's inputs and outputs, in one arena.

Inputs and outputs are the caller's: each output has a storage of its own. The arena is taken anew
for each run, from TVM's pool, so that runs do not share state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgetvm.compile.artifact import MemoryUse
from edgetvm.compile.memory.expressions import needed, substituted
from edgetvm.compile.memory.plan import plan
from edgetvm.compile.memory.tensors import Tensors, tensors_of

if TYPE_CHECKING:
    from tvm.ir import IRModule

# What functions are marked with.
_PEAK = "edgetvm.peak_activation_bytes"
_LOWER_BOUND = "edgetvm.live_bytes_lower_bound"


def plan_arenas(module: IRModule) -> IRModule:
    """Place the tensors of each function that is a plain list of kernel calls of known shapes.

    Functions with branches, calls of other functions, or shapes that are not known are left to
    TVM's `StaticPlanBlockMemory`.
    """
    from tvm import relax

    result = module.clone()
    for variable, function in module.functions_items():
        if isinstance(function, relax.Function):
            tensors = tensors_of(module, function)
            if tensors is not None:
                result[variable] = _placed(function, tensors)
    return result


def memory_use(module: IRModule) -> MemoryUse | None:
    """What `plan_arenas` found for the main function, or None where it left that."""
    attributes = module["main"].attrs
    if _PEAK not in attributes:
        return None
    return MemoryUse(int(attributes[_PEAK]), int(attributes[_LOWER_BOUND]))


def free_after_last_use(module: IRModule) -> IRModule:
    """`KillAfterLastUse`, but not within an arena: there it frees nothing and costs time."""
    from tvm import relax

    result = relax.transform.KillAfterLastUse()(module)
    for variable, function in module.functions_items():
        if isinstance(function, relax.Function) and _PEAK in (function.attrs or {}):
            result[variable] = function
    return result


def _placed(function: Any, tensors: Tensors) -> Any:
    """A function with its tensors in an arena, and its outputs in storages of their own."""
    from tvm import relax

    inner = [one for one in tensors.lifetimes if one not in tensors.outputs]
    places = plan([tensors.lifetimes[one] for one in inner])
    writer = _Writer(tensors)
    if inner:
        arena = writer.storage("arena", places.size_bytes)
        for one, offset in zip(inner, places.offsets_bytes, strict=True):
            writer.places[one] = (arena, offset)
    for block in function.body.blocks:
        for binding in block.bindings:
            writer.write(binding.var, binding.value)
    result = substituted(function.body.body, writer.known)
    bindings = needed(writer.bindings, result, keeps=_is_kernel_call)
    block = relax.BindingBlock([relax.VarBinding(*binding) for binding in bindings])
    body = relax.BlockBuilder().normalize(relax.SeqExpr([block], result))
    return (
        relax.Function(function.params, body, function.ret_ty, function.is_pure, function.attrs)
        .with_attr(_PEAK, places.size_bytes)
        .with_attr(_LOWER_BOUND, places.lower_bound_bytes)
    )


def _is_kernel_call(value: Any) -> bool:
    import tvm
    from tvm import relax

    return isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.GlobalVar)


class _Writer:
    """Writes a function's bindings again, with tensors taken from storages."""

    def __init__(self, tensors: Tensors) -> None:
        from tvm import relax

        self.tensors = tensors
        self.places: dict[Any, tuple[Any, int]] = {}
        self.bindings: list[tuple[Any, Any]] = []
        # What stands for a variable of the old function.
        self.known: dict[Any, Any] = {}
        self._builder = relax.BlockBuilder()

    def write(self, variable: Any, value: Any) -> None:
        """Write a binding: a tensor or a view as a place in a storage, others as they are."""
        from tvm import relax

        place = self.tensors.places.get(variable)
        if isinstance(value, relax.Var):
            self.known[variable] = self.known.get(value, value)
        elif place is None:
            self.known[variable] = self._bind(variable.name, substituted(value, self.known))
        else:
            if place.owner not in self.places:
                size = self.tensors.lifetimes[place.owner].size_bytes
                self.places[place.owner] = (self.storage("output", size), 0)
            storage, offset = self.places[place.owner]
            self.known[variable] = self._bind(
                variable.name,
                relax.op.memory.alloc_tensor(
                    storage,
                    relax.prim_value(offset + place.offset_bytes),
                    variable.ty.shape,
                    str(variable.ty.dtype),
                    relax.prim_value(0),
                ),
            )

    def storage(self, name: str, size_bytes: int) -> Any:
        """Write a new storage."""
        from tvm import relax

        shape = relax.ShapeExpr([size_bytes])
        return self._bind(name, relax.op.memory.alloc_storage(shape, 0, "global", "uint8"))

    def _bind(self, name: str, value: Any) -> Any:
        from tvm import relax

        value = self._builder.normalize(value)
        variable = relax.Var(name, value.ty)
        self.bindings.append((variable, value))
        return variable
