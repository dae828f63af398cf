"""JUnit's XML of a gate: read back by an XML parser."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from edgetvm.measure.judging import Judged, Outcome, exit_code_of
from edgetvm.report.junit import render_junit

OUTCOMES: tuple[Outcome, ...] = ("pass", "regression", "inconclusive", "error")


def test_every_outcome_has_its_tag() -> None:
    judged = [Judged(f"m{one}", "rpi4", one, f"because <{one}>", (), 1.5) for one in OUTCOMES]
    (suite,) = ElementTree.fromstring(render_junit(judged))  # noqa: S314 - our own
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1", "time": "6.000"}
    tags = [[part.tag for part in case] for case in suite]
    assert tags == [["system-out"], ["failure"], ["skipped"], ["error"]]
    assert suite[1][0].get("message") == "because <regression>"
    assert suite[0].get("classname") == "edgetvm.gate.rpi4"


@given(st.text(), st.text(), st.sampled_from(OUTCOMES))
def test_any_words_are_xml(model: str, why: str, outcome: Outcome) -> None:
    written = render_junit([Judged(model, "b", outcome, why)])
    (suite,) = ElementTree.fromstring(written)  # noqa: S314 - our own
    assert len(suite) == 1


def test_the_gravest_outcome_is_the_exit_code() -> None:
    def code(*outcomes: Outcome) -> int:
        return exit_code_of([Judged("m", "b", one, "") for one in outcomes])

    assert code("pass", "pass") == 0
    assert code("pass", "inconclusive") == 3
    assert code("inconclusive", "error") == 4
    assert code("error", "regression", "inconclusive") == 1
