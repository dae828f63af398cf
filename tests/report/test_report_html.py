"""The HTML report: well-formed, self-contained, honest and small."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from browser import looks
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from made_measurements import MS, make

from edgetvm.compile.artifact import Kernel
from edgetvm.measure.measurement import Measurement, StepRecord
from edgetvm.report import render_html

HOSTILE = "<script>alert(1)</script>"
_VOID = {"meta", "br"}
_LOADING = {"src", "srcset", "data", "poster", "action", "background", "xlink:href", "style"}


class Page(HTMLParser):
    """The page's texts and headings; refuses what is not closed, and what loads or runs."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form"}
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        assert not any(name in _LOADING or name.startswith("on") for name in names)
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [values["href"] or ""] if "href" in values else []
        self.headings += [int(tag[1])] if re.fullmatch(r"h\d", tag) else []
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def checked(page: str) -> Page:
    """The parsed page, after all that must hold for any page."""
    parsed = Page(page)
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<style") == page.count("<script") == 1
    assert "url(" not in page and "@import" not in page
    assert parsed.headings[0] == 1 and parsed.headings.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(parsed.headings, parsed.headings[1:], strict=False))
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert all(link.removeprefix("#") in parsed.ids for link in parsed.links)
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.S)
    assert drawings
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)  # noqa: S314
        assert root.get("role") == "img" and root[0].tag.endswith("title") and root[0].text
    return parsed


def test_page_is_whole_and_loads_nothing(measurements: list[Measurement]) -> None:
    page = render_html(measurements, title="Nightly")
    checked(page)
    assert not re.search("https?://", page.replace('xmlns="http://www.w3.org/2000/svg"', ""))
    assert "<title>Nightly</title>" in page and "<h1>Nightly</h1>" in page
    assert "prefers-color-scheme:dark" in page


def test_a_browser_lays_it_out_for_a_phone_and_for_a_desk(
    measurements: list[Measurement], tmp_path: Path
) -> None:
    page = render_html([*measurements, make(HOSTILE, "board" * 40)], title="word" * 40)
    for look in looks(page, tmp_path):
        assert look.needed <= look.room
        assert look.scripts == 1
        assert HOSTILE in look.text and "5.10 ms per run at p50" in look.text
        assert look.drawings and all(width > 100 and height > 10 for width, height in look.drawings)


def test_page_shows_the_figures(measurements: list[Measurement]) -> None:
    page = render_html(measurements)
    text = " ".join("".join(checked(page).texts).split())
    for part in (
        "mobilenet-v2: 5.10 ms per run at p50 and 10.0 ms at p99 on rpi5",
        "over its 99.5 ms deadline in 1 of 100 runs",
        "100 runs on 4 threads after 10 warm-up runs",
        "median of 100 chunks",
        "42 kernels: 28 tuned, 14 default",
        "… and 12 more.",
        "3 kernels: 2 tuned, 1 default",
        "1.2e-01 of 1.0e-04 allowed, in output logits",
        "top-1 accuracy",
        "0.715, by the recipe",
        "wrong answers: output logits is off by 1.2e-01",
        "emulated board: the times say nothing about a real one",
    ):
        assert part in text, part
    assert text.count("0.5 mean time of a chunk by its 101 ms of signal") == 1


def test_verdict_comes_first_and_emulation_last(measurements: list[Measurement]) -> None:
    page = render_html(measurements)
    assert page.index('class="verdicts"') < page.index("<h2>Summary</h2>")
    summary = page[page.index("<h2>Summary</h2>") : page.index("<h2>mobilenet-v2</h2>")]
    real, emulated = summary.split('<tr class="group">')
    assert "(emulated)" not in real and emulated.count("(emulated)") == 1


def test_a_deadline_is_not_held_against_emulation() -> None:
    page = render_html([make(emulated=True, deadline_ms=2.0)])
    assert "2.00 ms deadline not judged under emulation" in page
    assert "stroke-dasharray" not in page and "over its" not in page


@pytest.mark.parametrize("name", [HOSTILE, '" onload="alert(1)', "{{ 7*7 }}", "&lt;\x00\x1b"])
def test_hostile_names_are_only_text(name: str) -> None:
    base = make(name, name)
    hostile = replace(
        base,
        task=name,
        id=name,
        taken_at=name,
        package_sha256=name,
        metrics={name: 1.0},
        kernels=(Kernel(name, 1, "tuned", name),),
        steps=(StepRecord(name, 1.0, name),),
        correctness=replace(base.correctness, reference=name, worst_output=name, inputs=name),
        environment=replace(base.environment, cpu=name, governor=name, versions={name: name}),
    )
    page = render_html([hostile], title=name)
    checked(page)
    assert (
        "<script>alert" not in page and "49" not in page.partition("<body>")[2].partition("<h2>")[0]
    )
    assert "\x00" not in page and "\x1b" not in page


def test_odd_figures_are_told_as_what_they_are() -> None:
    odd = make(
        relative_error=float("nan"),
        samples_ns=(0,),
        metrics={"loss": float("inf"), "gain": float("nan")},
        kernels=0,
        steps=(),
    )
    text = "".join(checked(render_html([odd])).texts)
    assert "✗ not a number" in text and "p99 of 1 samples" in text and "0 kernels" in text
    assert "Steps before" not in text


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 10**12), min_size=1, max_size=5000).map(tuple),
    st.text(max_size=300),
    st.text(max_size=300),
    st.none() | st.floats(min_value=0),
)
def test_any_measurement_makes_a_page(
    samples: tuple[int, ...], model: str, device: str, deadline_ms: float | None
) -> None:
    measurement = make(model, device, samples_ns=samples, deadline_ms=deadline_ms, kernels=40)
    checked(render_html([measurement], title=model))


@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.integers(), st.text(min_size=1, max_size=300), st.integers(0, 12))
def test_ten_models_on_four_boards_stay_small(seed: int, name: str, power: int) -> None:
    draw = random.Random(seed).randint
    many = [
        make(
            f"{name}{model}",
            f"{board}{name}",
            samples_ns=tuple(draw(0, 10**power) for _ in range(2500)),
            deadline_ms=30.0,
            kernels=200,
            metrics={"top-1": 0.7, "top-5": 0.9},
            steps=(StepRecord("a step with a name", 1.5),) * 8,
        )
        for model in range(10)
        for board in range(4)
    ]
    assert len(render_html(many).encode()) < 500_000


@pytest.mark.parametrize("letter", ["\U0001f600", '"'])
def test_the_longest_names_stay_small(letter: str) -> None:
    draw = random.Random(1).randint
    many = [
        make(
            f"{model}" + letter * 300,
            f"{board}" + letter * 300,
            samples_ns=tuple(draw(1, MS) for _ in range(2500)),
            deadline_ms=0.5,
            kernels=200,
            kernel_name="k" * 300,
            steps=(StepRecord("s" * 300, 1.5),) * 30,
        )
        for model in range(10)
        for board in range(4)
    ]
    assert len(render_html(many).encode()) < 500_000


def test_a_small_report_tells_thirty_kernels_and_each_sample() -> None:
    page = render_html([make(kernels=31, samples_ns=(MS,) * 300)])
    assert "… and 1 more." in page and "Each dot is one run." in page
    many = render_html([make(samples_ns=(MS,) * 250_001)])
    assert "slowest of 834 consecutive runs" in many and "One of 3 is drawn, evenly." in many
