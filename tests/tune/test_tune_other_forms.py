"""Other forms of kernels, made while a search goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

from edgetvm.tune.other_forms import OtherForms
from edgetvm.tune.tasks import Form


def test_at_the_end_what_is_being_made_is_waited_for_and_no_more_is_made() -> None:
    begun, may_end = threading.Event(), threading.Event()
    made: list[str] = []

    def lots() -> Iterator[Mapping[str, Form]]:
        begun.set()
        may_end.wait(20)
        made.append("first")
        yield {}
        made.append("second")

    forms = OtherForms(lots(), threading.Lock())
    forms.ask()
    assert begun.wait(20)
    threading.Timer(0.1, may_end.set).start()
    forms.close()
    assert made == ["first"]
