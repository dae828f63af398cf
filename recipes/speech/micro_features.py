"""The features that micro-wake-word and micro_speech listen to, in whole numbers as on the board.

Source: tensorflow/lite/experimental/microfrontend/lib of TensorFlow 2.16, with the settings of
micro_speech: 40 channels from 125 to 7500 Hz, windows of 30 ms every 10 ms, noise reduction,
per-channel gain (PCAN), logarithm.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgetvm.base.errors import ConfigurationError
from edgetvm.recipes import PREPROCESS, Recipe, Sample

Whole = NDArray[np.int64]

RATE_HZ = 16000
STEP = 160
_WINDOW = 480
_FFT = 512
_CHANNELS = 40
_LOW_HZ, _HIGH_HZ = 125.0, 7500.0
_WEIGHT_BITS = 12

_SMOOTHING_BITS = 10
_PART_BITS = 14
_EVEN, _ODD, _LEAST = (int(part * (1 << _PART_BITS)) for part in (0.025, 0.06, 0.05))

_STRENGTH, _OFFSET, _GAIN_BITS = 0.95, 80.0, 21
_CORRECTION_BITS = 3  # log2 of the FFT's size, less half of the filters' bits
_SNR_BITS, _OUTPUT_BITS = 12, 6

_LOG_SCALE = 64
FEATURE_SCALE = 10 / 256  # one feature as a float


def features(signal: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """`[frames, 40]` of a signal in -1..1, at least 30 ms long: a frame for each 10 ms after 20."""
    whole = (np.clip(signal, -1, 32767 / 32768) * 32768).astype(np.int64)
    frames = np.lib.stride_tricks.sliding_window_view(whole, _WINDOW)[::STEP]
    energies = _channel_energies(frames)
    heard = _without_noise(energies)
    logarithms = _LOG_SCALE * np.log(np.maximum(heard << _CORRECTION_BITS, 1))
    return (np.minimum(np.round(logarithms), 65535) * FEATURE_SCALE).astype(np.float32)


def _channel_energies(frames: Whole) -> Whole:
    """Square roots of the energy in each channel; loud and silent frames at full resolution."""
    places = (np.arange(_WINDOW) + 0.5) * 2 * np.pi / _WINDOW
    window = np.floor((0.5 - 0.5 * np.cos(places)) * (1 << _WEIGHT_BITS) + 0.5).astype(np.int64)
    windowed = (frames * window) >> _WEIGHT_BITS
    loudest = np.abs(windowed).max(axis=1)
    shift = 15 - np.array([int(one).bit_length() for one in loudest])
    spectrum = np.fft.rfft(windowed << shift[:, np.newaxis], _FFT) / _FFT
    parts = np.round(spectrum.real) ** 2 + np.round(spectrum.imag) ** 2
    sums = np.floor(parts @ _filters())
    return np.round(np.sqrt(sums)).astype(np.int64) >> shift[:, np.newaxis]


def _filters() -> NDArray[np.float64]:
    """`[257, 40]`: triangles, equally wide in mel, in twelfths of a bit."""
    mel = 1127.0 * np.log1p(np.arange(_FFT // 2 + 1) * RATE_HZ / _FFT / 700)
    low, high = 1127.0 * np.log1p(np.array([_LOW_HZ, _HIGH_HZ]) / 700)
    centres = low + (high - low) / (_CHANNELS + 1) * np.arange(_CHANNELS + 2)
    rising = (mel[:, np.newaxis] - centres[:-2]) / np.diff(centres)[:-1]
    falling = (centres[2:] - mel[:, np.newaxis]) / np.diff(centres)[1:]
    weights = np.clip(np.minimum(rising, falling), 0, 1)
    # Its first band begins at the line after 125 Hz.
    weights[: int(1.5 + _LOW_HZ * _FFT / RATE_HZ)] = 0
    return np.floor(weights * (1 << _WEIGHT_BITS) + 0.5)


def _without_noise(energies: Whole) -> Whole:
    """Frame by frame: less the noise that is estimated, then scaled by it."""
    smoothing = np.where(np.arange(_CHANNELS) % 2, _ODD, _EVEN)
    estimate = np.zeros(_CHANNELS, np.int64)
    heard = np.empty_like(energies)
    for index, signal in enumerate(energies):
        scaled = signal << _SMOOTHING_BITS
        estimate = (scaled * smoothing + estimate * ((1 << _PART_BITS) - smoothing)) >> _PART_BITS
        left = (scaled - np.minimum(estimate, scaled)) >> _SMOOTHING_BITS
        left = np.maximum(left, (signal * _LEAST) >> _PART_BITS)
        heard[index] = _gained(left, estimate)
    return heard


def _gained(signal: Whole, estimate: Whole) -> Whole:
    level = estimate / (1 << (_SMOOTHING_BITS - _CORRECTION_BITS))
    gain = np.minimum((1 << _GAIN_BITS) * (level + _OFFSET) ** -_STRENGTH + 0.5, 0x7FFF)
    ratio = (signal * gain.astype(np.int64)) >> (_GAIN_BITS - _CORRECTION_BITS - _SNR_BITS)
    low = (ratio * ratio) >> (2 + 2 * _SNR_BITS - _OUTPUT_BITS)
    high = (ratio >> (_SNR_BITS - _OUTPUT_BITS)) - (1 << _OUTPUT_BITS)
    return np.where(ratio < 2 << _SNR_BITS, low, high)


@PREPROCESS.register("micro-features", needs_stream=True)
def micro_features(
    recipe: Recipe,
    sample: Sample,
    *,
    scale: Annotated[float, Field(gt=0, description="Of the input's integers.")],
    zero_point: Annotated[int, Field(description="Of the input's integers.")],
) -> dict[str, NDArray[np.int8]]:
    """Three feature frames of 10 ms a call, as int8."""
    stream = recipe.stream
    is_signal = not isinstance(sample.value, dict) and sample.value.ndim == 1
    if stream is None or not is_signal or sample.attributes.get("sample_rate_hz") != RATE_HZ:
        raise ConfigurationError(
            f"these features are of a signal at {RATE_HZ} Hz",
            where=f"recipe {recipe.name}: data",
            mend="choose speech, and set its sample_rate_hz",
        )
    steps = stream.hop_samples // STEP
    found = features(np.pad(sample.value, (0, -len(sample.value) % stream.hop_samples)))
    # A call has heard all of its 30 ms: the first two frames, begun before the signal, are silent.
    found = np.pad(found, ((_WINDOW // STEP - 1, 0), (0, 0)))
    whole = np.clip(np.round(found / scale + zero_point), -128, 127).astype(np.int8)
    return {stream.input: whole.reshape(-1, 1, steps, _CHANNELS)}
