"""Strings of spoken digits: by voices of espeak-ng, and by a person, who recorded each digit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgetvm.base.errors import ConfigurationError, MissingToolError
from edgetvm.recipes import DATA, ModelFile, Sample, spoken, wav, with_noise

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Classes of the network; the first is CTC's blank.
LETTERS = ("", *sorted(set("".join(WORDS))), " ")
RATE_HZ = 16000
# Of these no string was heard in training, at no speed and pitch.
HELD_OUT = ("en-gb-scotland", "en-us+f3", "en+m5", "en-gb-x-rp+klatt2")

_PAUSE_S = 0.4
_GAP_S = 0.15
_ALLISON = Path("/usr/share/asterisk/sounds/en_US_f_Allison/digits")

Count = Annotated[int, Field(ge=1, description="Of strings, of four to six digits.")]
Seed = Annotated[int, Field(ge=0, description="Of the digits and the noise.")]
Ratio = Annotated[float, Field(description="Of speech over pink noise, in decibels.")]


def strings(count: int, seed: int) -> list[list[int]]:
    """Digits at random, four to six in a string."""
    random = np.random.default_rng(seed)
    return [random.integers(0, 10, random.integers(4, 7)).tolist() for _ in range(count)]


@DATA.register("spoken-digits", gives="recordings")
def spoken_digits(*, count: Count = 12, seed: Seed = 1, snr_db: Ratio = 15.0) -> tuple[Sample, ...]:
    """By the voices of espeak-ng that took no part in training, one after the other."""
    found = []
    for number, digits in enumerate(strings(count, seed)):
        text = " ".join(WORDS[one] for one in digits)
        voice = HELD_OUT[number % len(HELD_OUT)]
        clean = spoken(text, voice, RATE_HZ)
        found.append(_sample(f"{number} {voice}", text, clean, snr_db, number))
    return tuple(found)


@DATA.register("recorded-digits", gives="recordings")
def recorded_digits(
    *,
    count: Count = 12,
    seed: Seed = 2,
    snr_db: Ratio = 15.0,
    folder: Annotated[str, Field(description="That holds 0.wav to 9.wav.")] = str(_ALLISON),
) -> tuple[Sample, ...]:
    """By a person: Allison's prompts of Asterisk, which took no part in training, in a row."""
    if folder == str(_ALLISON) and not _ALLISON.is_dir():
        raise MissingToolError(
            "no recordings of digits",
            where=folder,
            mend="run: apt-get install asterisk-core-sounds-en-wav",
        )
    missing = [
        name for name in (f"{digit}.wav" for digit in range(10)) if not Path(folder, name).is_file()
    ]
    if missing:
        raise ConfigurationError(
            f"no recording {missing[0]} in it",
            where=folder,
            mend="put 0.wav to 9.wav there, or recordings with a labels.csv of lines `file,text`",
        )
    gap = np.zeros(round(_GAP_S * RATE_HZ), np.float32)
    found = []
    for number, digits in enumerate(strings(count, seed)):
        pieces = []
        for digit in digits:
            path = ModelFile(path=Path(folder, f"{digit}.wav"))
            pieces += [np.asarray(wav(source=path, sample_rate_hz=RATE_HZ)[0].value), gap]
        text = " ".join(WORDS[one] for one in digits)
        found.append(_sample(f"{number}", text, np.concatenate(pieces), snr_db, number))
    return tuple(found)


def _sample(name: str, text: str, clean: NDArray[Any], snr_db: float, seed: int) -> Sample:
    pause = np.zeros(round(_PAUSE_S * RATE_HZ), np.float32)
    _, noisy = with_noise(np.concatenate([pause, clean, pause]), snr_db, "pink", seed)
    return Sample(name, noisy, text, {"sample_rate_hz": RATE_HZ})
