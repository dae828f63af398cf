"""Commands on boards elsewhere: named, and that is all."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from pathlib import Path

import emulated_boards
import numpy as np
import pytest
import yaml
from far_board import FarBoard, far_board
from real_command import edgetvm
from real_farm import PROFILE, write_profile

from edgetvm.farm.emulating.inventory_of import inventory_text

pytestmark = pytest.mark.board


@pytest.fixture
def boards(
    tmp_path: Path, session_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[FarBoard]]:
    """Two provisioned boards of one profile, in the user's inventory."""
    write_profile(tmp_path)
    monkeypatch.setenv("EDGETVM_DEVICES", str(tmp_path))
    monkeypatch.setenv("EDGETVM_INVENTORY", str(tmp_path / "boards.yaml"))
    with far_board(tmp_path / "a") as one, far_board(tmp_path / "b") as other:
        entries = {
            far.name: {
                "profile": PROFILE,
                "host": far.address,
                "port": far.sshd.port,
                "user": getpass.getuser(),
                "key_file": str(far.sshd.user_key),
            }
            for far in (one, other)
        }
        (tmp_path / "boards.yaml").write_text(yaml.safe_dump({"boards": entries}))
        yield [one, other]


def test_models_are_measured_on_every_board_that_is_named(
    boards: list[FarBoard], tiny_onnx: Path
) -> None:
    names = [far.name for far in boards]
    done = edgetvm("bench", tiny_onnx, "--device", ",".join(names), "--runs", "20", "--json")
    assert done.code == 0, done.err
    environments = [one["measurement"]["environment"] for one in done.document["measurements"]]
    assert [one["device"] for one in environments] == names
    # That of the time of the measurement.
    assert {one["governor"] for one in environments} == {"performance"}
    assert all(far.governors == {"ondemand"} for far in boards)
    assert not any(far.sessions() for far in boards)


def test_a_board_that_is_away_costs_only_its_own_measurements(
    boards: list[FarBoard], tiny_onnx: Path
) -> None:
    boards[0].sshd.stop()
    done = edgetvm("bench", tiny_onnx, "--device", PROFILE, "--runs", "20", "--json")
    assert done.code == 8
    (measured,) = done.document["measurements"]
    assert measured["measurement"]["environment"]["device"] == boards[1].name
    (failure,) = done.document["failures"]
    assert failure["model"] == f"{tiny_onnx} on {boards[0].name}"
    assert failure["ending"] == "infrastructure error"
    assert "no SSH server listens" in done.err


def test_a_model_runs_there(boards: list[FarBoard], tiny_onnx: Path, tmp_path: Path) -> None:
    answers = []
    for device in (boards[0].name, "local"):
        output = tmp_path / f"{device}.npz"
        done = edgetvm("run", tiny_onnx, "--device", device, "-o", output)
        assert done.code == 0, done.err
        answers.append(np.load(output)["scores"])
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-5)


def test_schedules_are_searched_on_all_boards_of_a_profile(
    boards: list[FarBoard], tiny_onnx: Path, tmp_path: Path
) -> None:
    done = edgetvm(
        *("tune", tiny_onnx, "--device", PROFILE, "--boards", "2", "--trials", "6", "--json"),
        *("--builders", "1", "--database", tmp_path / "trials.sqlite"),
    )
    assert done.code == 0, done.err
    assert done.is_clean()
    assert all(far.governors == {"ondemand"} for far in boards)


def test_from_a_bare_board_to_a_number(
    tmp_path: Path, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*emulated_boards.CACHE)
    monkeypatch.setenv("EDGETVM_INVENTORY", str(tmp_path / "boards.yaml"))
    with emulated_boards.boards() as (board,):
        (tmp_path / "boards.yaml").write_text(inventory_text([board]))
        emulated_boards.know(board)
        bare = edgetvm("run", tiny_onnx, "--device", board.name)
        assert bare.code == 8
        assert f"(provision it: edgetvm provision {board.name})" in " ".join(bare.err.split())
        assert edgetvm("provision", board.name).code == 0
        done = edgetvm("bench", tiny_onnx, "--device", board.name, "--runs", "20", "--json")
        assert done.code == 0, done.err
        (measured,) = done.document["measurements"]
        assert measured["measurement"]["environment"]["device"] == board.name
        checked = edgetvm("devices", "check", board.name, "--json")
        assert not [one for one in checked.document[0]["findings"] if "server" in one]
