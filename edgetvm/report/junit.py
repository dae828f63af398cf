"""What a gate said, as JUnit's XML, which every CI server shows.

A regression is a failure, what could not be measured an error, and what could not be told skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree

from edgetvm.base.words import printable
from edgetvm.measure.judging import Judged, Outcome

_TAGS: dict[Outcome, str] = {
    "regression": "failure",
    "error": "error",
    "inconclusive": "skipped",
}


def render_junit(judged: Sequence[Judged]) -> str:
    """One suite with a test case for each model and board.

    Source: the schema of Jenkins' xUnit plugin, junit-10.xsd.
    """
    counts = Counter(one.outcome for one in judged)
    suite = ElementTree.Element(
        "testsuite",
        name="edgetvm gate",
        tests=str(len(judged)),
        failures=str(counts["regression"]),
        errors=str(counts["error"]),
        skipped=str(counts["inconclusive"]),
        time=f"{sum(one.elapsed_s for one in judged):.3f}",
    )
    for one in judged:
        suite.append(_case(one))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(one: Judged) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase",
        classname=f"edgetvm.gate.{printable(one.board)}",
        name=printable(one.model),
        time=f"{one.elapsed_s:.3f}",
    )
    tag = _TAGS.get(one.outcome)
    if tag is not None:
        ElementTree.SubElement(case, tag, message=printable(one.why))
    else:
        ElementTree.SubElement(case, "system-out").text = printable(one.why)
    return case
