"""Speech that a stream of frames makes of noisy speech, and how much better it is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edgetvm.base.errors import ConfigurationError
from edgetvm.recipes.agreement import Found, percent
from edgetvm.recipes.data import Array, Sample
from edgetvm.recipes.postprocess import Output, Prediction, chosen_output, unfit
from edgetvm.recipes.recipe import Recipe
from edgetvm.recipes.registry import METRICS, POSTPROCESS

_SAME = 0.01  # of the loudest sample
# What float samples can tell apart at all: the best value that a ratio is given.
_BEST_DB = 100.0
_NOTHING = 1e-20


def _samples_agree(a: Found, b: Found) -> float:
    """Samples that lie within a hundredth of the loudest of both."""
    one, two = np.asarray(a["signal"]), np.asarray(b["signal"])
    loudest = max(np.abs(one).max(initial=0.0), np.abs(two).max(initial=0.0))
    return percent(float((np.abs(one - two) <= _SAME * loudest).sum()), len(one))


@POSTPROCESS.register("overlap-add", needs_stream=True, agreement=_samples_agree)
def overlap_add(
    recipe: Recipe, outputs: Mapping[str, Array], sample: Sample, *, output: Output = None
) -> Prediction:
    """A signal from a frame of each window, each added where its window stands: `signal`."""
    found = chosen_output(recipe, outputs, output)
    stream = recipe.stream
    if stream is None or isinstance(sample.value, dict) or found.ndim < 2:
        raise unfit(recipe, found, "a frame for each window of a stream")
    frames = found.reshape(len(found), -1)
    if frames.shape[1] != stream.window_samples:
        raise unfit(recipe, found, f"frames of {stream.window_samples} samples")
    before = stream.window_samples - stream.hop_samples
    signal = np.zeros(before + len(frames) * stream.hop_samples, np.float64)
    for index, frame in enumerate(frames):
        begin = index * stream.hop_samples
        signal[begin : begin + stream.window_samples] += frame
    return {"signal": signal[before : before + len(sample.value)].tolist()}


@METRICS.register("si_sdr_db", reads="overlap-add", best=_BEST_DB)
def si_sdr_db(prediction: Prediction, sample: Sample) -> float:
    """Scale-invariant ratio of the clean speech in it to all else, in decibels.

    Source: Le Roux et al., SDR - half-baked or well done?, ICASSP 2019.
    """
    return scale_invariant_ratio_db(np.asarray(prediction["signal"]), _clean(sample))


@METRICS.register("si_sdr_improvement_db", reads="overlap-add", best=_BEST_DB)
def si_sdr_improvement_db(prediction: Prediction, sample: Sample) -> float:
    """By how much `si_sdr_db` is better than that of the noisy speech that went in."""
    clean = _clean(sample)
    before = scale_invariant_ratio_db(np.asarray(sample.value, np.float64), clean)
    return scale_invariant_ratio_db(np.asarray(prediction["signal"]), clean) - before


def _clean(sample: Sample) -> NDArray[np.float64]:
    if "clean" not in sample.attributes:
        raise ConfigurationError(
            "nothing is known of the speech without its noise",
            where=sample.name,
            mend="choose data to which noise is added: with `snr_db`",
        )
    return np.asarray(sample.attributes["clean"], np.float64)


def scale_invariant_ratio_db(found: NDArray[np.float64], clean: NDArray[np.float64]) -> float:
    """See `si_sdr_db`; means are taken off both."""
    found, clean = found - found.mean(), clean - clean.mean()
    energy = float(clean @ clean)
    target = clean * (float(found @ clean) / energy) if energy else 0 * clean
    rest = found - target
    ratio = (target @ target + _NOTHING) / (rest @ rest + _NOTHING)
    return float(np.clip(10 * np.log10(ratio), -_BEST_DB, _BEST_DB))
