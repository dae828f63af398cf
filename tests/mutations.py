"""Damaged files, as hypothesis strategies."""

from __future__ import annotations

from hypothesis import strategies as st

_PIECES = st.one_of(
    st.binary(min_size=1, max_size=4),
    st.sampled_from([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\0\0", b""]),
)


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with one to four pieces overwritten, removed, inserted, or the end cut off."""
    result = data
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(result) - 1)))
        piece = draw(_PIECES)
        kind = draw(st.sampled_from(["overwrite", "overwrite", "insert", "remove", "cut"]))
        if kind == "overwrite":
            result = result[:at] + piece + result[at + len(piece) :]
        elif kind == "insert":
            result = result[:at] + piece + result[at:]
        elif kind == "remove":
            result = result[:at] + result[at + max(1, len(piece)) :]
        else:
            result = result[: max(1, at)]
    return result
