"""Trains the network that writes down spoken digits, letter by letter, by CTC.

It learns from espeak-ng only: from many of its voices at many speeds and pitches, under noise. Four
voices take no part, nor does any recording of a person: the recipes are scored on those.

    python recipes/training/spoken_digits.py [--epochs 24]
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import wave

import numpy as np
import torch
from exporting import RECIPES, export, module_of, settled
from scipy.signal import resample_poly
from torch import nn
from torch.nn import functional

digits = module_of("speech/spoken_digits")

ACCENTS = ("en", "en-us", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")
VARIANTS = (
    *("", "+m1", "+m2", "+m3", "+m4", "+m6", "+m7", "+f1", "+f2", "+f4", "+f5", "+klatt"),
    *("+klatt4", "+Annie", "+Andy", "+Mike", "+Steph", "+anika", "+Alicia", "+Linda", "+Michael"),
)
WINDOW, STEP, BANDS, WIDTH = 400, 160, 40, 96
HIGHER_FLOOR = 0.1
SOUND = 25600  # samples of the exported network: 1.6 s


class Listener(nn.Module):
    """Sound to logarithms of probabilities of letters, one step for each 20 ms.

    The spectrum is part of it, as a convolution with cosines and sines that do not learn. What a
    step says depends on 0.55 s before and after it.
    """

    def __init__(self) -> None:
        super().__init__()
        angles = 2 * np.pi * np.outer(np.arange(WINDOW // 2 + 1), np.arange(WINDOW)) / WINDOW
        waves = np.concatenate([np.cos(angles), np.sin(angles)]) * np.hanning(WINDOW + 1)[:-1]
        self.floor = 1e-3
        self.register_buffer("waves", torch.tensor(waves[:, None], dtype=torch.float32))
        self.register_buffer("filters", torch.tensor(_filters(), dtype=torch.float32))
        self.first = nn.Conv1d(BANDS, WIDTH, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(WIDTH, WIDTH, 11, padding=5, groups=WIDTH, bias=False),
                nn.BatchNorm1d(WIDTH),
                nn.Conv1d(WIDTH, WIDTH, 1, bias=False),
                nn.BatchNorm1d(WIDTH),
                nn.ReLU(),
                nn.Dropout(0.1),
            )
            for _ in range(5)
        )
        self.last = nn.Conv1d(WIDTH, len(digits.LETTERS), 1)

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        edge = (WINDOW - STEP) // 2
        padded = functional.pad(sound[:, None], (edge, edge))
        spectrum = functional.conv1d(padded, self.waves, stride=STEP)
        real, imaginary = spectrum.split(WINDOW // 2 + 1, dim=1)
        power = real * real + imaginary * imaginary
        heard = torch.log(functional.conv1d(power, self.filters) + self.floor) / 4
        x = functional.relu(self.first(heard))
        for block in self.blocks:
            x = x + block(x)
        return functional.log_softmax(self.last(x).transpose(1, 2), dim=-1)


def _filters() -> np.ndarray:
    """`[40, 201, 1]`: triangles, evenly spaced in mel from 60 to 7600 Hz."""
    mel = 1127 * np.log1p(np.fft.rfftfreq(WINDOW, 1 / digits.RATE_HZ) / 700)
    centres = np.linspace(*(1127 * np.log1p(np.array([60.0, 7600.0]) / 700)), BANDS + 2)[:, None]
    rising = (mel - centres[:-2]) / (centres[1:-1] - centres[:-2])
    falling = (centres[2:] - mel) / (centres[2:] - centres[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None)[..., None]


def said(text: str, voice: str, speed: int, pitch: int) -> np.ndarray:
    """A text at 16 kHz; empty where this espeak-ng lacks the voice."""
    done = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", text],
        capture_output=True,
        check=False,
    )
    if done.returncode or not done.stdout:
        return np.zeros(0, np.float32)
    with wave.open(io.BytesIO(done.stdout)) as file:
        raw = np.frombuffer(file.readframes(len(done.stdout)), "<i2")
    return (resample_poly(raw, 320, 441) / 32768).astype(np.float32)


def strings_said(count: int, random: np.random.Generator) -> list[tuple[np.ndarray, list[int]]]:
    """Strings of one to five digits, each by a voice, speed and pitch at random."""
    found = []
    while len(found) < count:
        numbers = random.integers(0, 10, random.integers(1, 6))
        # A comma makes a pause.
        joint = random.choice([" ", " ", ", "])
        text = joint.join(digits.WORDS[one] for one in numbers)
        voice = random.choice(ACCENTS) + random.choice(VARIANTS)
        sound = said(text, voice, int(random.integers(100, 220)), int(random.integers(10, 95)))
        if len(sound) > digits.RATE_HZ // 5:
            written = " ".join(digits.WORDS[one] for one in numbers)
            found.append((sound, [digits.LETTERS.index(letter) for letter in written]))
    return found


def as_heard(sound: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The same in another room: faster or slower, duller, softer, under noise, with pauses."""
    rate = int(random.integers(85, 116))
    sound = resample_poly(sound, 100, rate).astype(np.float32)
    if random.random() < 0.4:  # as a telephone has it
        sound = resample_poly(resample_poly(sound, 1, 2), 2, 1).astype(np.float32)
    if random.random() < 0.5:  # an echo
        at = int(random.integers(200, 2000))
        echo = np.zeros(len(sound) + at, np.float32)
        echo[at:] = random.uniform(0.1, 0.5) * sound
        echo[: len(sound)] += sound
        sound = echo
    tilt = random.uniform(-0.6, 0.6)
    sound = np.convolve(sound, [1, tilt])[: len(sound)].astype(np.float32)
    before, after = random.integers(800, 9600, 2)
    sound = np.pad(sound, (before, after)) / max(1e-3, np.abs(sound).max())
    noise = np.fft.rfft(random.standard_normal(len(sound)))
    noise = np.fft.irfft(noise / np.arange(1, len(noise) + 1) ** random.uniform(0, 0.7), len(sound))
    power = np.square(sound).mean() / 10 ** (random.uniform(0.5, 3.5))
    noisy = sound + noise * np.sqrt(power / np.square(noise).mean())
    return (noisy * 10 ** random.uniform(-1.5, -0.05)).astype(np.float32)


def lots(
    said_by: list[tuple[np.ndarray, list[int]]], size: int, random: np.random.Generator
) -> list[list[tuple[np.ndarray, list[int]]]]:
    """All of them, those of like length together."""
    order = sorted(random.permutation(len(said_by)), key=lambda at: len(said_by[at][0]) // 8000)
    rows = [order[at : at + size] for at in range(0, len(order), size)]
    return [[said_by[at] for at in rows[row]] for row in random.permutation(len(rows))]


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(prog="spoken_digits")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--strings", type=int, default=1500, help="that are said")
    arguments = parser.parse_args()
    settled(0)
    random = np.random.default_rng(0)
    said_by = strings_said(arguments.strings, random)
    network = Listener()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, arguments.epochs, 1e-5)
    for epoch in range(arguments.epochs):
        losses = []
        for lot in lots(said_by, 16, random):
            sounds = [torch.from_numpy(as_heard(sound, random)) for sound, _ in lot]
            batch = nn.utils.rnn.pad_sequence(sounds, batch_first=True)
            letters = [torch.tensor(one) for _, one in lot]
            said_steps = network(batch)
            loss = functional.ctc_loss(
                said_steps.transpose(0, 1),
                torch.cat(letters),
                torch.tensor([len(one) // (2 * STEP) for one in sounds]),
                torch.tensor([len(one) for one in letters]),
            )
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            losses.append(loss.item())
        schedule.step()
        sys.stdout.write(f"epoch {epoch}: {np.mean(losses):.4f}\n")
        sys.stdout.flush()
    # No sample of the training is quite silent, and what comes before a stream's first window is:
    # with a higher floor both look alike, and no word is heard where the sound begins.
    network.floor = HIGHER_FLOOR
    told = f"{arguments.strings} strings of espeak-ng, {arguments.epochs} epochs"
    export(
        network,
        [torch.zeros(1, SOUND)],
        RECIPES / "speech" / "spoken-digits.onnx",
        (["sound"], ["letters"]),
        {"trained_on": told, "pytorch": torch.__version__},
    )


if __name__ == "__main__":
    main()
