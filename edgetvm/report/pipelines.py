"""What a pipeline made of its data: in words, as JSON, and as one HTML file that loads nothing."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgetvm.base.units import format_ms
from edgetvm.report.drawing import drawn, is_drawable
from edgetvm.report.page import render
from edgetvm.report.words import format_figure, shown

if TYPE_CHECKING:
    from edgetvm.measure.pipelines import PipelineRun

_MOST_PICTURES = 6
_MOST_TEXT = 400


@dataclass(frozen=True)
class Told:
    """One sample as the page tells it.

    Attributes:
        said: the prediction in words.
        label: what was to be found; empty where nothing says.
        picture: drawn, as a `data:` address; empty where there is nothing to draw.
    """

    name: str
    said: str
    label: str
    picture: str


def pipeline_facts(run: PipelineRun) -> dict[str, str]:
    """The figures of the whole, in words, by their names."""
    facts = {
        "Board": f"{run.board} (emulated: its times say nothing)" if run.emulated else run.board,
        "Samples": str(len(run.samples)),
        "Threads": str(run.threads),
        "Stages together": format_ms(1e3 * sum(one.total_s for one in run.stages.values())),
        "Between them": f"{format_ms(1e3 * run.around_s)} on this machine",
        "A sample": format_ms(1e3 * run.compute_s / len(run.samples)),
    }
    if run.real_time_factor is not None and run.signal_s is not None:
        facts["Real-time factor"] = (
            f"{run.real_time_factor:.3g} = {run.compute_s:.3g} s / {run.signal_s:.3g} s"
        )
    return facts | {name: format_figure(value) for name, value in run.metrics.items()}


def pipeline_document(run: PipelineRun) -> dict[str, Any]:
    """All of it, as JSON knows it; pictures and signals left out."""
    return {
        "pipeline": run.pipeline,
        "board": run.board,
        "emulated": run.emulated,
        "threads": run.threads,
        "stages": {
            name: {"model": one.model, "runs_ns": list(one.runs_ns)}
            for name, one in run.stages.items()
        },
        "around_s": run.around_s,
        "signal_s": run.signal_s,
        "real_time_factor": run.real_time_factor,
        "metrics": dict(run.metrics),
        "samples": [
            {"name": sample.name, "label": sample.label, "prediction": prediction}
            for sample, prediction in zip(run.samples, run.predictions, strict=True)
        ],
    }


def render_pipeline(run: PipelineRun) -> str:
    """The page."""
    return render(
        "pipeline.html.j2",
        pictures=True,
        title=shown(run.pipeline),
        run=run,
        facts=pipeline_facts(run),
        told=_told(run),
    )


def pictures(run: PipelineRun) -> list[bytes]:
    """What was found in each picture, drawn, as PNG."""
    return [
        drawn(sample.value, prediction)
        for sample, prediction in zip(run.samples, run.predictions, strict=True)
        if not isinstance(sample.value, dict) and is_drawable(sample.value, prediction)
    ]


def _told(run: PipelineRun) -> list[Told]:
    found = []
    for number, (sample, prediction) in enumerate(zip(run.samples, run.predictions, strict=True)):
        picture = ""
        if (
            number < _MOST_PICTURES
            and not isinstance(sample.value, dict)
            and is_drawable(sample.value, prediction)
        ):
            encoded = b64encode(drawn(sample.value, prediction)).decode()
            picture = f"data:image/png;base64,{encoded}"
        label = "" if sample.label is None else str(sample.label)
        found.append(Told(sample.name, _said(prediction), label[:_MOST_TEXT], picture))
    return found


def _said(prediction: dict[str, Any]) -> str:
    if "text" in prediction:
        return str(prediction["text"])[:_MOST_TEXT]
    kept = {key: value for key, value in prediction.items() if key not in ("lines", "signal")}
    return str(kept)[:_MOST_TEXT]
