"""Other forms of kernels: a model is optimised anew for them, while the search goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager

from edgetvm.tune.tasks import Form


class OtherForms:
    """Lots of forms by task key, each made when it is asked for.

    Attributes:
        is_over: whether there are no more.
    """

    def __init__(
        self, lots: Iterator[Mapping[str, Form]], quiet: AbstractContextManager[object]
    ) -> None:
        """Make nothing yet.

        Args:
            lots: of forms; the next one takes seconds.
            quiet: held by whoever computes on cores that boards may share.
        """
        self.is_over = False
        self._lots, self._quiet = lots, quiet
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="forms")
        self._coming: Future[Mapping[str, Form] | None] | None = None

    def ask(self) -> None:
        """Begin to make the next lot, unless one is being made."""
        if self._coming is None and not self.is_over:
            self._coming = self._thread.submit(self._next)

    def _next(self) -> Mapping[str, Form] | None:
        with self._quiet:
            return next(self._lots, None)

    def take(self) -> Mapping[str, Form]:
        """The lot that was asked for, once it is made; else nothing."""
        if self._coming is None or not self._coming.done():
            return {}
        found, self._coming = self._coming.result(), None
        self.is_over = found is None
        return found or {}

    def close(self) -> None:
        """Make no more. What is being made is waited for: it would disturb what is timed next."""
        self._thread.shutdown(cancel_futures=True)
