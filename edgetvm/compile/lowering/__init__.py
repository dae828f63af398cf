"""From operators to loops that are made for a board: sums over packed weights, interpolation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edgetvm.boards.profile import BoardProfile
from edgetvm.compile.lowering.concatenation import lower_concatenation
from edgetvm.compile.lowering.convolution import lower_convolution, lower_transposed
from edgetvm.compile.lowering.matmul import lower_matmul
from edgetvm.compile.lowering.resizing import lower_resize
from edgetvm.compile.lowering.site import Site, operator_key
from edgetvm.compile.options import DEFAULTS, CompileOptions
from edgetvm.compile.origins import sources_of
from edgetvm.compile.tuned import OperatorChoices

if TYPE_CHECKING:
    from tvm.ir import IRModule

_OURS: dict[str, Callable[[Site, Any], Any]] = {
    "relax.nn.conv1d": lower_convolution,
    "relax.nn.conv2d": lower_convolution,
    "relax.nn.conv3d": lower_convolution,
    "relax.nn.conv1d_transpose": lower_transposed,
    "relax.nn.conv2d_transpose": lower_transposed,
    "relax.matmul": lower_matmul,
    "relax.image.resize2d": lower_resize,
    "relax.concat": lower_concatenation,
}


def lower_contractions(
    profile: BoardProfile,
    options: CompileOptions = DEFAULTS,
    choices: OperatorChoices | None = None,
) -> Callable[[IRModule], IRModule]:
    """The pass for a board. What has a form that is not ours is left to TVM."""
    known = OperatorChoices() if choices is None else choices

    def run(module: IRModule) -> IRModule:
        from tvm import relax
        from tvm.relax.expr_functor import PyExprMutator, mutator

        @mutator
        class Lowering(PyExprMutator):  # type: ignore[misc]
            sources: dict[Any, str]
            source = ""

            def visit_var_binding_(self, binding: Any) -> None:
                self.source = self.sources.get(binding.var, "")
                super().visit_var_binding_(binding)

            def visit_call_(self, call: Any) -> Any:
                call = super().visit_call_(call)
                ours = _OURS.get(getattr(call.op, "name", ""))
                if ours is None:
                    return call
                call = self.builder_.normalize(call)
                decisions = known.of(operator_key(call), self.source)
                made = ours(Site(self.builder_, profile, options.level.winograd, decisions), call)
                return call if made is None else made

        lowering = Lowering(module)
        for variable, function in module.functions_items():
            if isinstance(function, relax.Function):
                lowering.sources = sources_of(function)
                lowering.builder_.update_func(variable, lowering.visit_expr(function))
        result: IRModule = lowering.builder_.get()
        return result

    return run


__all__ = ["lower_contractions"]
