"""Hops, as inventories write them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgetvm.base.errors import UsageError
from edgetvm.farm.hops import Hop, parse_hops

WORD = st.from_regex(r"\A[a-z0-9_][a-z0-9._-]{0,8}\Z")


@given(
    st.lists(
        st.builds(Hop, WORD | st.just("::1"), st.none() | st.integers(1, 65535), st.none() | WORD),
        min_size=1,
        max_size=3,
    )
)
def test_hops_are_read_as_they_are_written(hops: list[Hop]) -> None:
    assert parse_hops(",".join(map(str, hops))) == tuple(hops)


@given(st.text(max_size=12) | st.text("a@:[]1-, ", max_size=12))
def test_any_text_is_hops_or_refused(text: str) -> None:
    try:
        hops = parse_hops(text)
    except UsageError as error:
        assert error.mend
        return
    assert parse_hops(",".join(map(str, hops))) == hops
    for hop in hops:
        assert not hop.host.startswith("-")
        assert not (hop.user or "").startswith("-")
