"""Measurements as JSON and in the store: read back as they were, or refused in words."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from made_measurements import make

from edgetvm.base.errors import ConfigurationError, NotFoundError, StorageError
from edgetvm.measure import Measurement, latest, load, save
from edgetvm.measure.measurement import from_json, to_json
from edgetvm.models.correctness import Correctness
from edgetvm.report.results import results

ERRORS = st.floats(min_value=0, allow_nan=False)
MEASUREMENTS = st.builds(
    lambda model, samples, metrics, text, errors, chunk: replace(
        make(model, samples_ns=tuple(samples), metrics=metrics, task=text, chunk_ms=chunk),
        correctness=Correctness("r", errors[0], errors[1], 1e-3, text, 1, text),
    ),
    st.text(),
    st.lists(st.integers(0, 2**62), min_size=1, max_size=20),
    st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False), max_size=4),
    st.text(),
    st.tuples(ERRORS, ERRORS),
    st.none() | st.floats(0.1, 1e6),
)


@given(measurement=MEASUREMENTS)
def test_a_measurement_survives_json(measurement: Measurement) -> None:
    data = to_json(measurement)
    assert from_json(data, "here") == measurement

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    assert json.loads(data, parse_constant=refuse)["schema_version"] == 2


@given(data=st.binary(max_size=300) | st.text().map(str.encode))
@settings(max_examples=200)
def test_any_bytes_are_refused_in_words(data: bytes) -> None:
    with pytest.raises(ConfigurationError, match="not a measurement of edgetvm") as caught:
        from_json(data, "file.json")
    assert str(caught.value).startswith("file.json: ")
    assert caught.value.mend


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_measurement_that_is_cut_off_is_refused(part: float) -> None:
    data = to_json(make())
    with pytest.raises(ConfigurationError, match=r"x\.json: not a measurement.*cut off"):
        from_json(data[: int(len(data) * part)], "x.json")


@pytest.mark.parametrize("version", [0, 3, 99])
def test_another_schema_version_is_named(version: int) -> None:
    document = json.loads(to_json(make()))
    document["schema_version"] = version
    with pytest.raises(ConfigurationError, match=f"version {version}.*reads versions 1 and 2"):
        from_json(json.dumps(document).encode(), "x.json")


def test_a_newer_schema_with_other_fields_is_named_too() -> None:
    document = {"schema_version": 3, "something": "else"}
    with pytest.raises(ConfigurationError, match="schema version 3"):
        from_json(json.dumps(document).encode(), "x.json")


def test_a_measurement_without_samples_is_refused() -> None:
    document = json.loads(to_json(make()))
    document["samples_ns"] = []
    with pytest.raises(ConfigurationError, match="not a measurement"):
        from_json(json.dumps(document).encode(), "x.json")


def test_the_latest_of_each_model_on_each_device() -> None:
    assert latest() == latest(3) == []
    # Saved in another order than taken: the id, which begins with the time, decides.
    for number in (3, 1, 2, 5, 4):
        model = "even" if number % 2 == 0 else "odd"
        device = "rpi5" if number == 1 else "rpi4"
        save(make(model, device, id=f"20260301T12000{number}-aa"))
    assert [entry.id[14:15] for entry in latest()] == ["1", "4", "5"]
    assert [entry.id[14:15] for entry in latest(2)] == ["4", "5"]
    assert [entry.id[14:15] for entry in latest(99)] == ["1", "2", "3", "4", "5"]


def test_an_untuned_measurement_does_not_replace_a_tuned_one() -> None:
    save(make(id="20260301T120001-aa"))
    save(make(id="20260301T120002-aa", kernels=1))
    found = latest()
    assert [entry.is_tuned for entry in found] == [True, False]
    assert [one.setting for one in results(found)] == [
        "4 threads, 2 of 3 kernels tuned",
        "4 threads",
    ]


def test_an_unknown_id_names_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="edgetvm bench"):
        load("20260301T120001-aa")
    save(make(id="20260301T120001-aa"))
    with pytest.raises(NotFoundError, match="did you mean 20260301T120001-aa"):
        load("20260301T120001-ab")
    with pytest.raises(NotFoundError):
        load("../../../etc/passwd")


def test_a_store_that_cannot_be_written_is_told(isolated_home: Path) -> None:
    (isolated_home / ".local").mkdir()
    (isolated_home / ".local" / "share").write_text("a file in the way")
    with pytest.raises(StorageError) as caught:
        save(make())
    assert caught.value.mend
