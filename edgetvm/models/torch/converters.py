"""The table of PyTorch operators; those that it lacks are TVM's."""

from __future__ import annotations

from typing import Any

from edgetvm.models.torch.call import Call, Converter


def _matmul(call: Call) -> Any:
    first, second = (value for value in call.arguments.values() if hasattr(value, "ty"))
    return call.emit.matmul(first, second)


CONVERTERS: dict[str, Converter] = {
    "aten.mm.default": _matmul,
    "aten.bmm.default": _matmul,
}
