"""In which order the elements of tensors lie."""

from edgetvm.compile.layout.rewriter import choose_layouts

__all__ = ["choose_layouts"]
