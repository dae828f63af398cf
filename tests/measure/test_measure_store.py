"""The store: what is kept comes back, on SQLite and on PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_conditions import window

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))

from made_measurements import MS, make

from edgetvm.base.errors import NotFoundError, StorageError, UsageError
from edgetvm.measure import Store, latest, load, save
from edgetvm.measure.measurement import Measurement, to_json
from edgetvm.measure.samples import CHUNK, Samples
from edgetvm.measure.store import store_url
from edgetvm.measure.store_tables import METADATA, open_database


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    """A server of the tests' own."""
    with pytest.importorskip("real_postgresql").postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store."""
    if request.param == "sqlite":
        return Store(f"sqlite:///{tmp_path / 'results' / 'r.sqlite'}")
    url = request.getfixturevalue("postgresql_url")
    METADATA.drop_all(open_database(url))
    METADATA.create_all(open_database(url))
    return Store(url)


def made(number: int, count: int = 5, **changes: object) -> Measurement:
    """A measurement with windows and samples of its own."""
    samples = Samples.of(range(number, number + count))
    one = make(**changes)
    return replace(
        one,
        id=f"2026030{number}T120000-a",
        samples_ns=samples,
        windows=(window(count=count),),
    )


def test_what_is_kept_comes_back_whole(store: Store) -> None:
    kept = made(1, 2 * CHUNK + 3)
    store.save(kept)
    back = store.load(kept.id)
    assert back == kept
    assert [len(one) for one in back.samples_ns.chunks()] == [CHUNK, CHUNK, 3]
    assert to_json(back) == to_json(kept)


def test_a_measurement_is_kept_once_and_never_changed(store: Store) -> None:
    store.save(made(1))
    with pytest.raises(StorageError, match="cannot be kept"):
        store.save(replace(made(1), model="another"))
    assert store.load(made(1).id) == made(1)


def test_a_measurement_whose_samples_break_off_is_not_kept(store: Store) -> None:
    def broken() -> Iterator[object]:
        yield Samples.of(range(3)).chunks().__next__()
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        store.save(replace(made(1), samples_ns=Samples(9, broken)))  # type: ignore[arg-type]
    assert store.ids() == []


def test_history_by_model_and_device(store: Store) -> None:
    for number, model, device in ((1, "a", "x"), (2, "b", "x"), (3, "a", "y"), (4, "a", "x")):
        store.save(made(number, model=model, device=device))
    assert [one[7] for one in store.ids("a")] == ["1", "3", "4"]
    assert [one[7] for one in store.ids("a", "x")] == ["1", "4"]
    assert [one.id[7] for one in store.latest()] == ["2", "3", "4"]
    assert [one.id[7] for one in store.latest(3)] == ["2", "3", "4"]


def test_an_unknown_id_names_the_nearest(store: Store) -> None:
    store.save(made(1))
    with pytest.raises(NotFoundError, match=r"did you mean 20260301T120000-a\?"):
        store.load("20260301T120000-b")


def test_the_user_s_store(isolated_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(made(1))
    assert (isolated_home / ".local/share/edgetvm/measurements.sqlite").is_file()
    assert load(made(1).id) == made(1)
    assert latest() == [made(1)]
    monkeypatch.setenv("EDGETVM_RESULTS", f"sqlite:///{isolated_home / 'elsewhere.sqlite'}")
    assert latest() == []
    assert store_url().endswith("elsewhere.sqlite")


@pytest.mark.parametrize("url", ["nonsense", "mysterious://x/y"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="names no database"):
        Store(url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_bytes(b"not a database, certainly" * 100)
    with pytest.raises(StorageError, match="not a database"):
        Store(f"sqlite:///{tmp_path / 'x.sqlite'}")


def test_samples_are_summarised_from_the_store(store: Store) -> None:
    from edgetvm.measure import summarise

    kept = replace(made(1, 300), samples_ns=Samples.of([MS] * 200 + [2 * MS] * 100))
    store.save(kept)
    summary = summarise(store.load(kept.id))
    assert (summary.p50_ms, summary.p90_ms) == (1.0, 2.0)
