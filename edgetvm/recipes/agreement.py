"""How far two predictions of one sample agree, and the distances that this rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, TypeAlias

Box: TypeAlias = tuple[float, float, float, float]
Found: TypeAlias = Mapping[str, Any]

_SAME_BOX_OVERLAP = 0.5  # intersection over union
_SAME_VALUE = 0.01


def percent(part: float, whole: int) -> float:
    """A part in percent; of nothing, all is right."""
    return 100.0 * part / whole if whole else 100.0


def common_box(a: Box, b: Box) -> Box:
    """What both cover; a side is negative where they are apart."""
    return max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])


def box_area(box: Box) -> float:
    """In square pixels; 0 of a box that is turned inside out."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def edit_distance(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Least number of insertions, deletions and replacements that make `b` of `a` (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        before, row = row, [i]
        for j, y in enumerate(b, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y)))
    return row[-1]


def boxes_agree(a: Found, b: Found) -> float:
    """Boxes with a partner, of all boxes of both: each box has at most one partner."""
    left: list[Box] = list(b["boxes"])
    pairs = 0
    for box in a["boxes"]:
        partner = max(left, key=lambda other: overlap(box, other), default=None)
        if partner is not None and overlap(box, partner) >= _SAME_BOX_OVERLAP:
            left.remove(partner)
            pairs += 1
    return percent(2 * pairs, len(a["boxes"]) + len(b["boxes"]))


def overlap(a: Box, b: Box) -> float:
    """Intersection over union; 0 of nothing."""
    common = box_area(common_box(a, b))
    union = box_area(a) + box_area(b) - common
    return common / union if union else 0.0


def chunks_agree(a: Found, b: Found) -> float:
    """Chunks that both call speech, or both not."""
    pairs = list(zip_longest(a["speech"], b["speech"]))
    return percent(sum(x == y for x, y in pairs), len(pairs))


def best_agrees(a: Found, b: Found) -> float:
    """The best class."""
    return percent(a["classes"][0]["index"] == b["classes"][0]["index"], 1)


def letters_agree(a: Found, b: Found) -> float:
    """Letters left after the edits that make one text of the other."""
    longest = max(len(a["text"]), len(b["text"]))
    return percent(longest - edit_distance(a["text"], b["text"]), longest)


def values_agree(a: Found, b: Found) -> float:
    """Numbers that lie within a hundredth of the largest of both."""
    pairs = list(zip(a["values"], b["values"], strict=True))
    largest = max((abs(one) for pair in pairs for one in pair), default=0.0)
    return percent(sum(abs(x - y) <= _SAME_VALUE * largest for x, y in pairs), len(pairs))
