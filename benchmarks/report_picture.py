"""The picture of a report in README, out of the stored data beside it.

    python -m benchmarks.report_picture              draw it again from docs/images/report.json
    python -m benchmarks.report_picture --measure    measure first; needs a quiet machine

A measurement of which windows were disturbed, or anything else speaks against, replaces nothing.
Ends with 1 then. Needs Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from edgetvm.measure import Plan, summarise
from edgetvm.report import read_report, write_report
from edgetvm.workflow import bench, find_subject

IMAGES = Path(__file__).parent.parent / "docs" / "images"
DATA, PICTURE = IMAGES / "report.json", IMAGES / "report.png"
_MODEL, _RUNS = "tiny/image-classification", 1000
_WIDTH, _HEIGHT = 1100, 1860
# A window's last lines are not always painted.
_BELOW = 300
_BROWSERS = ("chromium", "google-chrome", "chromium-browser")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def measure() -> None:
    """Keep a measurement that nothing speaks against as the picture's data."""
    found = bench(find_subject(_MODEL), plan=Plan(runs=_RUNS))
    warnings = summarise(found).warnings
    if warnings:
        sys.exit("measured, and not taken: " + "; ".join(warnings))
    write_report([found], DATA)


def draw() -> None:
    """The page of the stored data, as a browser shows it."""
    browser = next((one for one in map(shutil.which, _BROWSERS) if one), None)
    if browser is None:
        sys.exit("no browser is installed: run scripts/setup test")
    measurements, background = read_report(DATA)
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder, "report.html"), Path(folder, "report.png")
        write_report(measurements, page, background=background)
        where = (f"--user-data-dir={folder}", f"--screenshot={shot}")
        size = f"--window-size={_WIDTH},{_HEIGHT + _BELOW}"
        command = [browser, *_FLAGS, *where, size, page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        with Image.open(shot) as image:
            whole = image.convert("RGB").crop((0, 0, _WIDTH, _HEIGHT))
            whole.quantize(128).save(PICTURE, optimize=True)


def main() -> None:
    """Measure where that is asked for, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true")
    if parser.parse_args().measure:
        measure()
    draw()
    print(PICTURE)


if __name__ == "__main__":
    main()
