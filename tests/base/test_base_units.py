"""Sizes and times as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgetvm.base.units import format_ms, parse_bytes, parse_duration_s


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("1", 1), ("64k", 65536), ("512M", 512 << 20), ("1.5G", 3 << 29), ("4 GB", 4 << 30)],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


@pytest.mark.parametrize(("text", "value_s"), [("90s", 90), ("1.5m", 90), ("2h", 7200)])
def test_times(text: str, value_s: float) -> None:
    assert parse_duration_s(text) == value_s


@pytest.mark.parametrize("text", ["", "0", "-1M", "1T", "M", "1e3", "0x10", "nan", "٣M", "9" * 400])
def test_what_is_none_is_refused(text: str) -> None:
    for parse in (parse_bytes, parse_duration_s):
        with pytest.raises(ValueError, match="is no amount above 0"):
            parse(text)


@given(st.text(max_size=8))
def test_any_text_is_an_amount_or_refused(text: str) -> None:
    for parse in (parse_bytes, parse_duration_s):
        try:
            assert parse(text) >= 0
        except ValueError as error:
            assert "is no amount" in str(error)


@pytest.mark.parametrize(
    ("value_ms", "text"),
    [(0.0874, "0.0874 ms"), (1340, "1 340 ms"), (0, "0 ms"), (-2298.44, "-2 298 ms")],
)
def test_milliseconds_have_three_digits(value_ms: float, text: str) -> None:
    assert format_ms(value_ms) == text
