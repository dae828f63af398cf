"""Kernels that are called one by one, by TVM's calling convention.

TVM's own functions for that check each tensor at every call, and are more than most kernels for
LLVM to compile. These check nothing: whoever calls them knows what they take.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from edgetvm.compile.kernel_pipeline import kernel_pipeline
from edgetvm.compile.linker import linked, scratch_folder
from edgetvm.compile.native.entry import assembled, module_header
from edgetvm.compile.native.plain import LEFT_OUT, symbol
from edgetvm.compile.options import Level

# Of TVM's convention: a tensor that is an object holds the fields of one that is a pointer after
# so many bytes, the first of which is its data.
_TENSOR_OBJECT = 70
_OBJECT_BYTES = 24
_ARGUMENT = """\
  %at{n} = getelementptr i8, ptr %given, i64 {at}
  %kind{n} = load i32, ptr %at{n}
  %next{n} = getelementptr i8, ptr %at{n}, i64 8
  %bare{n} = load ptr, ptr %next{n}
  %object{n} = icmp eq i32 %kind{n}, {object}
  %inner{n} = getelementptr i8, ptr %bare{n}, i64 {offset}
  %tensor{n} = select i1 %object{n}, ptr %inner{n}, ptr %bare{n}
  %data{n} = load ptr, ptr %tensor{n}"""


def build_kernels(kernels: Mapping[str, Any], target: Any, level: Level) -> bytes:
    """Compile kernels into one library: much of a module's time is spent once.

    Args:
        kernels: scheduled; the library has each as a function of its name, that takes its tensors.
        target: TVM's.
        level: the grade of elementary functions.

    Raises:
        CompileError, MissingToolError: as `edgetvm.compile.linker.link_shared`.
        StorageError: files cannot be written.
        Exception: whatever TVM raises of a kernel that it cannot compile.
    """
    from tvm import ir, tirx

    takes = tuple((name, len(function.params)) for name, function in kernels.items())
    named = {name: one.with_attr("global_symbol", name) for name, one in kernels.items()}
    with target:
        entries = _entries(str(target), takes)
        with ir.transform.PassContext(disabled_pass=list(LEFT_OUT)):
            library = tirx.build(
                ir.IRModule(named), target, kernel_pipeline(level.functions, plain=True)
            )
    with scratch_folder() as folder:
        path = folder / "entries.o"
        path.write_bytes(entries)
        return linked(library, folder, [path])


@functools.lru_cache(maxsize=64)
def _entries(target: str, takes: tuple[tuple[str, int], ...]) -> bytes:
    """An object file with a function for each kernel that takes so many tensors."""
    lines = [*_header(target), *(line for one in takes for line in _entry(*one))]
    with scratch_folder() as folder:
        return assembled(lines, folder / "entries.ll").read_bytes()


@functools.lru_cache(maxsize=8)
def _header(target: str) -> list[str]:
    from tvm.target import Target

    return module_header(Target(target))


def _entry(name: str, tensors: int) -> Iterator[str]:
    kernel, given = f'i32 @"{symbol(name)}"', range(tensors)
    yield f"declare hidden {kernel}({', '.join('ptr' for _ in given)})"
    yield f"define i32 @__tvm_ffi_{name}(ptr %self, ptr %given, i32 %count, ptr %result) {{"
    for n in given:
        yield _ARGUMENT.format(n=n, at=16 * n, object=_TENSOR_OBJECT, offset=_OBJECT_BYTES)
    yield f"  %code = tail call {kernel}({', '.join(f'ptr %data{n}' for n in given)})"
    yield "  ret i32 %code\n}"
