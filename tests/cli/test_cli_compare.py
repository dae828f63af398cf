"""`edgetvm compare` and `edgetvm gate`, as users and CI servers run them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from real_command import Home, refused

pytestmark = pytest.mark.board

QUICK = ("--runs", "5", "--json", "--processes")


def test_a_package_beside_itself(home: Home) -> None:
    done = home.edgetvm("compare", home.package, home.package, *QUICK, "2", cold=True)
    assert done.code == 0, done.err
    (one,) = done.document
    assert one["comparison"]["processes"] == 2
    assert one["comparison"]["low"] <= one["comparison"]["ratio"] <= one["comparison"]["high"]
    assert one["different"] == []
    assert one["told"] == "too few processes to tell"
    listed = home.edgetvm("results", "list", "--json").document
    assert {*one["measurements"][0], *one["measurements"][1]} <= {row["id"] for row in listed}


def test_a_gate_ends_with_its_own_codes(home: Home, tmp_path: Path) -> None:
    """Times of a busy machine may be told or not, but the file and the code say the same."""
    file = tmp_path / "gate.xml"
    done = home.edgetvm(
        "gate", home.package, "--baseline", home.package, *QUICK, "5", "--junit", file, cold=True
    )
    (suite,) = ElementTree.parse(file).getroot()  # noqa: S314 - our own
    codes = {"pass": 0, "regression": 1, "inconclusive": 3}
    (one,) = done.document
    assert done.code == codes[one["outcome"]], done.err
    assert (suite.get("failures"), suite.get("skipped")) == (
        str(int(done.code == 1)),
        str(int(done.code == 3)),
    )


def test_a_model_that_cannot_be_built_is_an_error(home: Home, tmp_path: Path) -> None:
    broken, file = tmp_path / "broken.onnx", tmp_path / "gate.xml"
    broken.write_bytes(b"nothing")
    assert home.edgetvm("gate", broken, "--junit", file).code == 4
    (suite,) = ElementTree.parse(file).getroot()  # noqa: S314 - our own
    assert suite.get("errors") == "1"


def test_a_store_that_cannot_be_had_is_an_error_in_the_file(home: Home, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere, file = f"sqlite:///{tmp_path}/file/below/r.sqlite", tmp_path / "gate.xml"
    assert home.edgetvm("gate", home.package, "--store", nowhere, "--junit", file).code == 4
    (suite,) = ElementTree.parse(file).getroot()  # noqa: S314 - our own
    assert suite.get("errors") == "1"


def test_what_cannot_be_is_told_in_words(home: Home, tmp_path: Path) -> None:
    mixed = home.edgetvm("compare", home.measurement, home.package)
    assert refused(mixed, 2, "with stored ones only")
    same = home.edgetvm("compare", home.measurement, home.measurement)
    assert refused(same, 2, "the same package")
    gone = home.edgetvm("gate", tmp_path / "gone.onnx")
    assert refused(gone, 2, "no such file")
    baseline = home.edgetvm("gate", home.package, "--baseline", tmp_path / "gone.edgetvm")
    assert refused(baseline, 2, "gone.edgetvm: no such file")
    assert refused(home.edgetvm("gate", "nothing"), 2, "neither a model file nor a recipe")
