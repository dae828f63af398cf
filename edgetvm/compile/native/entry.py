"""The function that runs a program, with its constants, as LLVM assembly.

    int32_t edgetvm_run(void *const *blocks, int32_t first, int32_t end);

calls the kernels from `first` up to `end` on the caller's blocks, each aligned to 64 bytes. It
keeps nothing and answers with 0, or with the code of the kernel that failed. `edgetvm_calls` is
their number, `edgetvm_names` has their names, each ended by a line feed, `edgetvm_blocks` is the
number of blocks and `edgetvm_block_bytes` has their sizes: the arena, the inputs, the outputs.

`__tvm_ffi_edgetvm_run(blocks)` and `__tvm_ffi_edgetvm_call(blocks, index)` do the same, all kernels
or one, by TVM's calling convention, which tells an error's words too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgetvm.compile.memory.plan import ALIGNMENT_BYTES, aligned
from edgetvm.compile.native.merging import NOTHING_MERGED, Use
from edgetvm.compile.native.plain import symbol
from edgetvm.compile.native.program import Call, Place, Program

# Arguments of TVM's convention are 16 bytes each, the value in the last 8.
_WRAPPERS = """
define i32 @__tvm_ffi_edgetvm_run(ptr %self, ptr %given, i32 %count, ptr %result) {attributes} {{
  %at = getelementptr i8, ptr %given, i64 8
  %blocks = load ptr, ptr %at
  %code = tail call i32 @edgetvm_run(ptr %blocks, i32 0, i32 {calls})
  ret i32 %code
}}
define i32 @__tvm_ffi_edgetvm_call(ptr %self, ptr %given, i32 %count, ptr %result) {attributes} {{
  %at = getelementptr i8, ptr %given, i64 8
  %blocks = load ptr, ptr %at
  %next = getelementptr i8, ptr %given, i64 24
  %first = load i32, ptr %next
  %end = add i32 %first, 1
  %code = tail call i32 @edgetvm_run(ptr %blocks, i32 %first, i32 %end)
  ret i32 %code
}}
"""


def write_object(
    program: Program,
    target: Any,
    folder: Path,
    uses: Mapping[str, Use] = NOTHING_MERGED,
    attributes: str = "",
) -> Path:
    """Write a program's object file into a folder.

    Args:
        program: what is called.
        target: TVM's, that the kernels are compiled for.
        folder: for files of one's own; it is the caller's.
        uses: what became of the kernels, of those that were merged.
        attributes: of functions, for LLVM.
    """
    constants = folder / "constants.bin"
    with constants.open("wb") as file:
        for content in program.constants:
            file.write(content.data)
            file.write(bytes(aligned(content.size) - content.size))
    return assembled(_assembly(program, target, constants, uses, attributes), folder / "program.ll")


def assembled(lines: Iterable[str], path: Path) -> Path:
    """LLVM assembly as an object file, which lies beside the text.

    Args:
        lines: that begin with those of `module_header`.
        path: where the text is written.
    """
    from tvm.runtime import load_module

    path.write_text("\n".join(lines))
    found = path.with_suffix(".o")
    load_module(str(path)).write_to_file(str(found), "o")
    return found


def _assembly(
    program: Program, target: Any, constants: Path, uses: Mapping[str, Use], attributes: str
) -> list[str]:
    called = [uses.get(call.kernel, Use(call.kernel)) for call in program.calls]
    names = "".join(f"{call.kernel}\n" for call in program.calls).encode()
    sizes = ", ".join(f"i64 {size}" for size in program.block_bytes)
    return [
        *module_header(target),
        *_constants(constants),
        f"@edgetvm_calls = constant i32 {len(program.calls)}",
        f"@edgetvm_names = constant [{len(names) + 1} x i8] {_text(names)}",
        f"@edgetvm_blocks = constant i32 {len(program.block_bytes)}",
        f"@edgetvm_block_bytes = constant [{len(program.block_bytes)} x i64] [{sizes}]",
        *_declarations(program, called),
        *_tables(called),
        *_run(program, called, attributes),
        _WRAPPERS.format(calls=len(program.calls), attributes=attributes),
    ]


def module_header(target: Any) -> list[str]:
    """What LLVM must know of the machine, as TVM tells it for any kernel."""
    from tvm import te, tirx

    nothing = te.create_prim_func([te.compute((1,), lambda _: tirx.const(0, "int32"))])
    told = tirx.build(nothing.with_attr("global_symbol", "nothing"), target).inspect_source("ll")
    name = str(target).replace("\\", "\\5C").replace('"', "\\22")
    return [
        *(line for line in told.splitlines() if line.startswith("target ")),
        "!llvm.module.flags = !{!0}",
        f'!0 = !{{i32 2, !"tvm_target", !"{name}"}}',
    ]


def _constants(file: Path) -> list[str]:
    quoted = str(file).replace("\\", "\\\\").replace('"', '\\"')
    lines = (
        '.section .rodata.edgetvm, "a"',
        f".balign {ALIGNMENT_BYTES}",
        ".globl edgetvm_constants",
        ".hidden edgetvm_constants",
        "edgetvm_constants:",
        f'.incbin "{quoted}"',
    )
    return [
        *("module asm " + _quoted(line) for line in lines),
        f"@edgetvm_constants = external hidden constant i8, align {ALIGNMENT_BYTES}",
    ]


def _declarations(program: Program, called: Sequence[Use]) -> list[str]:
    """Hidden: they are bound when the library is linked, and nobody else can see them."""
    counts = {
        use.kernel: len(call.places) + bool(use.numbers)
        for call, use in zip(program.calls, called, strict=True)
    }
    return [
        f'declare hidden i32 @"{symbol(kernel)}"({", ".join(["ptr"] * count)})'
        for kernel, count in counts.items()
    ]


def _tables(called: Sequence[Use]) -> Iterator[str]:
    """The numbers of calls; equal ones are one table."""
    for numbers in dict.fromkeys(use.numbers for use in called if use.numbers):
        listed = ", ".join(f"i32 {number}" for number in numbers)
        kind = f"[{len(numbers)} x i32]"
        yield f"{_table(numbers)} = private unnamed_addr constant {kind} [{listed}], align 4"


def _table(numbers: Sequence[int]) -> str:
    told = " ".join(map(str, numbers))
    return f'@"numbers {told}"'


def _run(program: Program, called: Sequence[Use], attributes: str) -> Iterator[str]:
    count = len(program.calls)
    yield f"define i32 @edgetvm_run(ptr %blocks, i32 %first, i32 %end) {attributes} {{"
    for block in range(len(program.block_bytes)):
        yield f"  %at{block} = getelementptr ptr, ptr %blocks, i32 {block}"
        yield f"  %block{block} = load ptr, ptr %at{block}"
    begins = " ".join(f"i32 {index}, label %call{index}" for index in range(count))
    yield f"  switch i32 %first, label %call{count} [{begins}]"
    for index, (call, use) in enumerate(zip(program.calls, called, strict=True)):
        yield from _call(index, call, use)
    codes = ", ".join(f"[%code{index}, %call{index}]" for index in range(count))
    yield f"call{count}:"
    yield "  ret i32 0"
    if count:
        yield f"over:\n  %code = phi i32 {codes}\n  ret i32 %code"
    yield "}"


def _call(index: int, call: Call, use: Use) -> Iterator[str]:
    """One kernel, and whether it was the last."""
    yield f"call{index}:"
    for number, place in enumerate(call.places):
        begin = f"ptr {_base(place)}, i64 {place.offset_bytes}"
        yield f"  %p{index}.{number} = getelementptr i8, {begin}"
    given = [f"ptr %p{index}.{number}" for number in range(len(call.places))]
    if use.numbers:
        given.append(f"ptr {_table(use.numbers)}")
    yield f'  %code{index} = call i32 @"{symbol(use.kernel)}"({", ".join(given)})'
    yield f"  %failed{index} = icmp ne i32 %code{index}, 0"
    yield f"  %last{index} = icmp eq i32 %end, {index + 1}"
    yield f"  %over{index} = or i1 %failed{index}, %last{index}"
    yield f"  br i1 %over{index}, label %over, label %call{index + 1}"


def _base(place: Place) -> str:
    return "@edgetvm_constants" if place.block is None else f"%block{place.block}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\5C").replace('"', "\\22") + '"'


def _text(content: bytes) -> str:
    """A C string in LLVM's notation."""
    return 'c"' + "".join(f"\\{byte:02X}" for byte in (*content, 0)) + '"'
