"""Noise of a stated strength on speech, the same at every call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from edgetvm.recipes.data import Signal

Noise = Literal["white", "pink"]

_LOUD = 0.01  # of the loudest frame's power: what lies below is a pause
_FRAME = 160
_PEAK = 0.99


def with_noise(clean: Signal, snr_db: float, kind: Noise, seed: int) -> tuple[Signal, Signal]:
    """The clean signal, and the same with noise, both turned down alike where the sum would clip.

    Args:
        snr_db: mean power of the speech, pauses left out, over that of the noise.
        seed: of the noise.
    """
    made = _white(len(clean), seed) if kind == "white" else _pink(len(clean), seed)
    power = float(np.square(made).mean())
    gain = np.sqrt(speech_power(clean) / (power * 10 ** (snr_db / 10))) if power else 0.0
    noisy = clean + gain * made
    level = min(1.0, _PEAK / max(float(np.abs(noisy).max(initial=0.0)), 1e-9))
    return (level * clean).astype(np.float32), (level * noisy).astype(np.float32)


def speech_power(signal: Signal) -> float:
    """Mean power of the frames that are not silent."""
    whole = np.pad(signal, (0, -len(signal) % _FRAME)).reshape(-1, _FRAME)
    power = np.square(whole, dtype=np.float64).mean(axis=1)
    loud: Sequence[float] = power[power > _LOUD * power.max(initial=0.0)]
    return float(np.mean(loud)) if len(loud) else 0.0


def _white(count: int, seed: int) -> Signal:
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32)


def _pink(count: int, seed: int) -> Signal:
    """Power falls by half from octave to octave."""
    spectrum = np.fft.rfft(_white(count, seed))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[:1] = 0
    return np.fft.irfft(spectrum, count).astype(np.float32)
