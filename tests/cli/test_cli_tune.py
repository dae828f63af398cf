"""`edgetvm tune`: on a real local board, few trials."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_models import write_tiny
from real_command import Done, edgetvm, refused

from edgetvm.boards import load_profile
from edgetvm.tune import TuningDatabase, conditions_of

pytestmark = pytest.mark.board


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shared run keeps its trials."""
    return tmp_path_factory.mktemp("tuning") / "trials.sqlite"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `made_models.write_tiny`."""
    return write_tiny(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def tuned(model: Path, database: Path) -> Done:
    """A run of a dozen trials."""
    done = edgetvm("tune", model, "--trials", "12", "--database", database, "--json", cold=True)
    assert done.code == 0, done.err
    return done


def test_the_document_tells_every_kernel_and_the_whole(tuned: Done, database: Path) -> None:
    told = tuned.document
    assert tuned.is_clean()
    assert told["trials"] == 12
    assert sum(told["outcomes"].values()) == 12
    assert told["database"] == str(database)
    kernels = told["kernels"]
    assert sum(one["share"] for one in kernels) == pytest.approx(1)
    shares = [one["share"] for one in kernels]
    assert shares == sorted(shares, reverse=True)
    whole_ms = sum(one["calls"] * one["best_ms"] for one in kernels)
    assert told["kernels_tuned_ms"] == pytest.approx(whole_ms)
    assert told["kernels_tuned_ms"] <= told["kernels_default_ms"]
    for one in kernels:
        assert one["gflops"] * one["best_ms"] == pytest.approx(2e-6 * one["multiply_adds"])


def test_progress_is_plain_lines_where_there_is_no_terminal(tuned: Done) -> None:
    assert "✓ tune on local" in tuned.err
    lines = [line for line in tuned.err.splitlines() if line.startswith("… ")]
    assert any("boards: " in line and "trials" in line for line in lines)


def test_a_finished_run_is_not_resumed(tuned: Done, model: Path, database: Path) -> None:
    assert tuned.code == 0
    done = edgetvm("tune", model, "--trials", "12", "--database", database, "--resume")
    assert refused(done, 2, "is unfinished", "leave --resume out")


def test_what_could_be_resumed_is_named(tuned: Done, model: Path, database: Path) -> None:
    assert tuned.code == 0
    with TuningDatabase(database) as opened:
        whole = opened._connection.execute("SELECT what FROM runs WHERE id = 1").fetchone()[0]
        run = opened.begin_run(whole, conditions_of(load_profile("local")), "300 s")
        done = edgetvm("tune", model, "--time", "10s", "--database", database, "--resume")
        assert refused(done, 2, "300 s", "give its budget")
        assert opened.work_on(run)
        done = edgetvm("tune", model, "--time", "5m", "--database", database, "--resume")
        assert refused(done, 2, "another process works on", "beside it")
        opened.finish_run(run)


def test_a_tracker_that_is_down_is_told_at_once(
    model: Path, database: Path, tmp_path: Path
) -> None:
    inventory = tmp_path / "boards.yaml"
    inventory.write_text(
        "boards:\n  silent:\n    profile: rpi4\n    tracker: 127.0.0.1:9\n    key: silent\n"
    )
    done = edgetvm(
        "tune", model, "--device", "silent", "--time", "90s", "--database", database,
        environment={"EDGETVM_INVENTORY": str(inventory)},
    )  # fmt: skip
    assert refused(done, 8, "127.0.0.1:9")
    assert "trials" not in done.err


def test_explain_shows_decisions_and_code_without_a_board(
    tuned: Done, model: Path, database: Path
) -> None:
    name = tuned.document["kernels"][0]["name"]
    done = edgetvm("tune", model, "--explain", name, "--database", database)
    assert done.code == 0, done.err
    assert done.is_clean()
    assert "start the local board" not in done.err
    assert "candidates" in done.out
    assert "@T.prim_func" in done.out
    told = edgetvm("tune", model, "--explain", name, "--database", database, "--json").document
    assert told["name"] == name
    assert all(one["taken"] in one["candidates"] for one in told["decisions"])
    compile("\n".join(told["script"].splitlines()), "script", "exec")


def test_explain_names_the_nearest_kernel(tuned: Done, model: Path, database: Path) -> None:
    name = tuned.document["kernels"][0]["name"]
    done = edgetvm("tune", model, "--explain", f"{name}x", "--database", database)
    assert refused(done, 2, "has no kernel", f"did you mean '{name}'")


@pytest.mark.parametrize("asked", ["rpi4", "rpi44"])
def test_a_profile_without_a_board_is_told(model: Path, asked: str) -> None:
    done = edgetvm("tune", model, "--device", asked)
    assert refused(done, 3, asked) and ("tune --estimate" in done.err) == (asked == "rpi4")
