"""The walk over an exported program: what is constant PyTorch computes, the rest is converted."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from edgetvm.base.errors import EdgetvmError, ModelUnreadableError
from edgetvm.models.naming import identifier, naming_builder
from edgetvm.models.onnx.emitter import Emitter, shape_of
from edgetvm.models.torch.call import Call, Converter
from edgetvm.models.torch.converters import CONVERTERS
from edgetvm.models.torch.description import LABEL
from edgetvm.models.torch.normalisation import FoldedNorm, folded_norm
from edgetvm.models.torch.signal import COMPLEX, COMPLEX_PAIRS

if TYPE_CHECKING:
    from tvm.ir import IRModule

# Elements of a result that is still computed on the way; a larger one is left to the model.
_LARGEST_CONSTANT = 1 << 26


def label_of(node: Any) -> str:
    """What a node is called in messages and profiles."""
    return str(node.meta.get("nn_module_stack", {}).get(LABEL, ("",))[0] or node.name)


class ProgramReader:
    """Reads one decomposed program.

    Attributes:
        program: torch's ExportedProgram.
        inputs: name and, where it is bound to one, constant of each user input, in order.
    """

    def __init__(self, program: Any, inputs: Mapping[str, NDArray[Any] | None]) -> None:
        from tvm.relax.frontend.torch.exported_program_translator import ExportedProgramImporter

        self.program = program
        self.inputs = inputs
        self._builder = naming_builder()
        self.nodes: dict[str, str] = self._builder.nodes
        self._emitter = Emitter(self._builder)
        self._tvm = ExportedProgramImporter()
        self._tvm.block_builder = self._builder
        self._known: dict[Any, Any] = {}  # what is constant, as torch has it
        self._parameters: list[Any] = []
        self._norms: dict[Any, FoldedNorm] = {}  # by the node of the normalisation
        self._needed = self._look_back()
        self._look_forward()
        self._check_buffers()

    def _outputs(self) -> list[Any]:
        """The nodes that the user gets."""
        (node,) = (one for one in self.program.graph.nodes if one.op == "output")
        kinds = [spec.kind.name for spec in self.program.graph_signature.output_specs]
        return [
            value
            for value, kind in zip(node.args[0], kinds, strict=True)
            if kind in ("USER_OUTPUT", "LOSS_OUTPUT")
        ]

    def _look_back(self) -> set[Any]:
        """Nodes that an output depends on."""
        needed: set[Any] = set()
        todo = list(self._outputs())
        while todo:
            node = todo.pop()
            if node not in needed:
                needed.add(node)
                todo += node.all_input_nodes
        return needed

    def _look_forward(self) -> None:
        """Compute what is constant."""
        import torch

        given = iter(self.inputs.items())
        kinds = {spec.arg.name: spec for spec in self.program.graph_signature.input_specs}
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                spec = kinds[node.name]
                if spec.kind.name == "USER_INPUT":
                    self._place(node, *next(given))
                elif node in self._needed:
                    self._known[node] = self._tensor(spec.target)
            elif node in self._needed and self._is_foldable(node):
                arguments = [self._resolved(part) for part in (node.args, node.kwargs)]
                with torch.no_grad():
                    self._known[node] = node.target(*arguments[0], **arguments[1])
            elif node in self._needed:
                norm = folded_norm(node, self._known)
                if norm is not None:
                    self._norms[node] = norm

    def _check_buffers(self) -> None:
        """Refuse buffers that carry a state; counters that no output reads may change."""
        signature = self.program.graph_signature
        changed = set(signature.buffers_to_mutate.values())
        for node in self._needed:
            target = (
                signature.inputs_to_buffers.get(node.name) if node.op == "placeholder" else None
            )
            if target in changed:
                raise ModelUnreadableError(
                    f"the buffer {target!r} changes from run to run",
                    mend="take it as an input of forward() and return its new value; then "
                    "ImportOptions(states={input: output}) carries it",
                )

    def _place(self, node: Any, name: str, bound: NDArray[Any] | None) -> None:
        import torch
        from tvm import relax

        if bound is not None:
            self._known[node] = torch.from_numpy(bound.copy())
            return
        value = node.meta["val"]
        kind = relax.TensorType([int(axis) for axis in value.shape], _dtype(value.dtype))
        self._tvm.env[node] = relax.Var(identifier(name, "input"), kind)
        self._parameters.append(self._tvm.env[node])

    def _tensor(self, target: str) -> Any:
        for table in (self.program.state_dict, self.program.constants):
            if target in table:
                return table[target].detach()
        raise ModelUnreadableError(f"the parameter {target!r} is missing", mend="save it again")

    def _is_foldable(self, node: Any) -> bool:
        import torch

        if node.op != "call_function" or not all(
            one in self._known for one in node.all_input_nodes
        ):
            return False
        tags = getattr(node.target, "tags", ())
        results = node.meta.get("val")
        results = results if isinstance(results, (list, tuple)) else [results]
        return torch.Tag.nondeterministic_seeded not in tags and all(
            not isinstance(one, torch.Tensor) or one.numel() <= _LARGEST_CONSTANT for one in results
        )

    def _resolved(self, part: Any) -> Any:
        from torch import fx

        return fx.node.map_arg(part, lambda node: self._known[node])

    def unsupported(self) -> dict[str, list[str]]:
        """Labels of the nodes that nothing converts, by operator."""
        found: dict[str, list[str]] = {}
        for node in self._calls():
            if self._converter(node) is not None:
                continue
            # Control flow names the graphs inside it, which this walk does not enter.
            enters = any(one.op == "get_attr" for one in node.all_input_nodes)
            listed = node.target.__name__ in self._tvm.convert_map
            known = listed and not enters and not _is_complex(node)
            if not known or _takes_index(node):
                found.setdefault(_described(node), []).append(label_of(node))
        return found

    @staticmethod
    def _converter(node: Any) -> Converter | None:
        if not _is_complex(node):
            return CONVERTERS.get(_name(node))
        return None if _is_mixed(node) else COMPLEX.get(_name(node))

    def _calls(self) -> list[Any]:
        left_out = self._known.keys() | {norm.convolution for norm in self._norms.values()}
        return [
            node
            for node in self.program.graph.nodes
            if node.op == "call_function" and node in self._needed and node not in left_out
        ]

    def read(self) -> Any:
        """The Relax module.

        Raises:
            ModelUnreadableError: a converter stopped; the node is named.
        """
        from tvm import relax

        with self._builder.function("main", self._parameters):
            with self._builder.dataflow():
                for node in self._calls():
                    self._convert(node)
                results = relax.Tuple([self._value(node) for node in self._outputs()])
                outputs = self._builder.emit_output(results)
            self._builder.emit_func_output(outputs)
        module: IRModule = self._builder.get()
        return module

    def _value(self, node: Any) -> Any:
        """A node's expression; a constant becomes one when it is first asked for."""
        if node not in self._tvm.env:
            self._tvm.env[node] = self._constant(self._known[node])
        return self._tvm.env[node]

    def _constant(self, value: Any) -> Any:
        import torch

        if isinstance(value, (list, tuple)):
            return [self._constant(one) for one in value]
        return self._emitter.const(array_of(value)) if isinstance(value, torch.Tensor) else value

    def _convert(self, node: Any) -> None:
        if node in self._norms:
            self._convert_norm(node, self._norms[node])
            return
        for one in node.all_input_nodes:
            self._value(one)
        self._builder.node = label_of(node)
        try:
            convert = self._converter(node)
            made = convert(self._call(node)) if convert is not None else None
            if made is None:
                made = self._tvm.convert_map[node.target.__name__](node)
            self._tvm.env[node] = self._checked(node, made)
        except EdgetvmError:
            raise
        except Exception as error:  # converters raise every kind; the node has to be named
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise ModelUnreadableError(
                f"the converter stopped at {_name(node)} {label_of(node)!r}: "
                f"{lines[-1] if lines else type(error).__name__}",
                mend="export the module in another way",
            ) from error

    def _convert_norm(self, node: Any, norm: FoldedNorm) -> None:
        """A convolution with the weights that normalise its results as well."""
        self._builder.node = label_of(norm.convolution)
        call = self._call(norm.convolution)
        weights = {"weight": self._constant(norm.weight), "bias": self._constant(norm.bias)}
        call = replace(call, arguments={**call.arguments, **weights})
        made = CONVERTERS[call.operator](call)
        self._tvm.env[node] = self._checked(node, [made, None, None])

    def _call(self, node: Any) -> Call:
        from torch import fx

        convert = partial(fx.node.map_arg, fn=self._value)
        arguments: dict[str, Any] = {}
        schema = getattr(node.target, "_schema", None)
        for index, declared in enumerate(schema.arguments if schema else ()):
            if index < len(node.args):
                arguments[declared.name] = convert(node.args[index])
            elif declared.name in node.kwargs:
                arguments[declared.name] = convert(node.kwargs[declared.name])
            else:
                arguments[declared.name] = declared.default_value
        result = node.meta["val"]
        result = result[0] if isinstance(result, (list, tuple)) else result
        return Call(
            operator=_name(node),
            label=label_of(node),
            arguments=arguments,
            emit=self._emitter,
            dtype=_dtype(result.dtype),
            shape=tuple(int(axis) for axis in result.shape),
        )

    def _checked(self, node: Any, made: Any) -> Any:
        """The results, bound, in the shapes and dtypes that PyTorch has for them."""
        results = node.meta["val"]
        if not isinstance(results, (list, tuple)):
            return self._bound(node, made, results)
        if not isinstance(made, (list, tuple)):
            return made  # a Relax tuple, whose fields are checked where they are taken
        return [
            None if one is None else self._bound(node, one, result)
            for one, result in zip(made, results, strict=False)
        ]

    def _bound(self, node: Any, made: Any, result: Any) -> Any:
        from tvm import relax

        if not isinstance(made, relax.Var):
            made = self._builder.emit(made)
        wanted = tuple(int(axis) for axis in result.shape)
        found = shape_of(made)
        if found != (wanted + (2,) if result.is_complex() else wanted):
            raise ValueError(f"it gives {list(found)}, and PyTorch {list(wanted)}")
        return made if result.is_complex() else self._emitter.cast(made, _dtype(result.dtype))


def array_of(tensor: Any) -> NDArray[Any]:
    """A torch tensor as numpy's array."""
    import ml_dtypes
    import torch

    plain = tensor.detach().cpu().contiguous()
    if plain.is_complex():
        plain = torch.view_as_real(plain.resolve_conj()).contiguous()
    if plain.dtype == torch.bfloat16:
        wide: NDArray[Any] = plain.float().numpy()
        return wide.astype(ml_dtypes.bfloat16)
    array: NDArray[Any] = plain.resolve_neg().numpy()
    return array


def _dtype(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _name(node: Any) -> str:
    """`aten.convolution.default`, `getitem`."""
    text = str(node.target)
    return text if "." in text and " " not in text else str(node.target.__name__)


def _is_complex(node: Any) -> bool:
    """Whether a complex tensor goes in or comes out."""
    values = [one.meta.get("val") for one in (node, *node.all_input_nodes)]
    return any(getattr(value, "is_complex", bool)() for value in values)


def _is_mixed(node: Any) -> bool:
    """Whether it joins complex numbers with real ones, which do not come as pairs."""
    return _name(node) in COMPLEX_PAIRS and not all(
        hasattr(one, "meta") and one.meta["val"].is_complex()
        for one in (*node.args, *node.kwargs.values())
    )


def _takes_index(node: Any) -> bool:
    """Whether it takes the second result of a pooling operator, which only gives the first."""
    return (
        node.target is operator.getitem and node.args[1] == 1 and "max_pool" in _name(node.args[0])
    )


def _described(node: Any) -> str:
    if _takes_index(node):
        return f"{_name(node.args[0])} with indices"
    return f"{_name(node)} of complex numbers" if _is_complex(node) else _name(node)
