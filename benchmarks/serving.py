"""What HTTP costs: `python -m benchmarks.serving`.

    python -m benchmarks.serving
    python -m benchmarks.serving vision/ppocr-cls model.onnx --qps 10,50 --seconds 20

Requests come by a Poisson process, to the model on the local board alone and to `edgetvm serve`, by
JSON and in binary, on connections that stay open, of which there are 200 at most. A latency is that
of MLPerf's server scenario, from a request's arrival to its answer, waiting included. All on one
machine: the client takes time of its cores, too. Ends with

    result: binary_p50_over_bare_ms=… json_p50_over_bare_ms=… failed=…

the medians, over models and rates, of what HTTP adds to the bare model's p50.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import tritonclient.http as triton

from edgetvm.farm import find_board
from edgetvm.farm.conditions_now import conditions_now
from edgetvm.farm.standing_boards import connected
from edgetvm.measure.conditions import Conditions, conditions_of
from edgetvm.measure.package_on_board import PackageOnBoard
from edgetvm.measure.rules import Rule
from edgetvm.measure.samples import ranked
from edgetvm.measure.scenarios import Load, Played, play
from edgetvm.measure.statistics import percentile_rank
from edgetvm.measure.system_under_test import (
    Answered,
    Nanoseconds,
    Opening,
    Queries,
    SystemUnderTest,
)
from edgetvm.package import Package
from edgetvm.workflow import offer

MODELS = ("speech/silero-vad", "vision/ppocr-cls")
_DATATYPES = {"float32": "FP32", "uint8": "UINT8", "int8": "INT8", "int64": "INT64"}
_UP_S = 60.0
_CONNECTIONS = 200


@dataclass
class Served:
    """A model behind HTTP. See `SystemUnderTest`; all queries ask the same.

    Attributes:
        name: what a report calls it.
        port: of the server on loopback.
        request: its bytes, headers included.
        failed: answers that were none.
    """

    name: str
    port: int
    request: bytes
    failed: int = 0
    _idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CONNECTIONS))

    def open(self) -> Opening:
        """The first request."""
        answered = self.time_queries(Queries(1, 60.0))
        return Opening(None, int(answered.service_ns[0]))

    def time_queries(self, queries: Queries) -> Answered:
        """Send each request when it arrives, on a connection of its own where others are busy."""
        began_ns = time.perf_counter_ns()
        with asyncio.Runner(loop_factory=_precise_loop) as runner:
            stamps = runner.run(self._sent(queries))
        took_ns = time.perf_counter_ns() - began_ns
        return Answered(*stamps, on_board_ns=took_ns, round_trip_ns=took_ns)

    def conditions(self) -> Conditions:
        """Of this machine."""
        return conditions_of(conditions_now())

    async def _sent(self, queries: Queries) -> tuple[Nanoseconds, Nanoseconds]:
        arrivals = queries.arrivals_ns if queries.arrivals_ns is not None else [0] * queries.count
        self._idle, began_ns = [], time.perf_counter_ns()
        self._places = asyncio.Semaphore(_CONNECTIONS)
        tasks = []
        for arrival_ns in arrivals:
            await asyncio.sleep((began_ns + int(arrival_ns) - time.perf_counter_ns()) / 1e9)
            tasks.append(asyncio.create_task(self._one(began_ns)))
        stamps = np.asarray(await asyncio.gather(*tasks), np.int64)
        for _, writer in self._idle:
            writer.close()
        return stamps[:, 0], stamps[:, 1]

    async def _one(self, began_ns: int) -> tuple[int, int]:
        async with self._places:
            return await self._asked(began_ns)

    async def _asked(self, began_ns: int) -> tuple[int, int]:
        sent_ns = time.perf_counter_ns() - began_ns
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(self.request)
        head = await reader.readuntil(b"\r\n\r\n")
        (length,) = re.findall(rb"(?i)\r\ncontent-length: (\d+)", head)
        await reader.readexactly(int(length))
        self.failed += not head.startswith(b"HTTP/1.1 200")
        self._idle.append((reader, writer))
        return sent_ns, time.perf_counter_ns() - began_ns


def _precise_loop() -> asyncio.SelectorEventLoop:
    """A loop that sleeps to the microsecond: epoll, the usual one, to the millisecond."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def request_of(package: Package, name: str, binary: bool) -> bytes:
    """A request for the package's sample, as NVIDIA's client writes it."""
    asked = []
    for key, array in package.sample_inputs.items():
        one = triton.InferInput(key, list(array.shape), _DATATYPES[str(array.dtype)])
        asked.append(one.set_data_from_numpy(array, binary_data=binary))
    outputs = [
        triton.InferRequestedOutput(one.name, binary_data=binary)
        for one in package.manifest.signature.outputs
    ]
    body, header = triton.InferenceServerClient.generate_request_body(asked, outputs)
    lines = [f"POST /v2/models/{name}/infer HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"Content-Length: {len(body)}"]
    lines += [f"Inference-Header-Content-Length: {header}"] if header is not None else []
    return "\r\n".join([*lines, "", ""]).encode() + bytes(body)


@contextmanager
def served(model: str, threads: int) -> Iterator[tuple[int, str]]:
    """`edgetvm serve MODEL`: its port, and the model's name there."""
    words = [sys.executable, "-m", "edgetvm", "serve", model, "--port", "0"]
    with subprocess.Popen(
        [*words, "--threads", str(threads)], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _address(process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(_UP_S)


def _address(process: subprocess.Popen[str]) -> tuple[int, str]:
    said = []
    for line in process.stderr or ():
        said.append(line)
        if found := re.match(r"http://127\.0\.0\.1:(\d+)/v2/models/(\S+)", line):
            return int(found[1]), found[2]
    raise SystemExit("".join(said))


def _played(system: SystemUnderTest, qps: float, seconds: float) -> Played:
    rule = Rule(64, seconds, 4 * seconds)
    return play(system, "server", rule, Load(target_qps=qps), judged=False)


def _told(title: str, qps: float, played: Played) -> float:
    """Print a line of percentiles; the median."""
    count = len(played.samples_ns)
    ranks = [percentile_rank(count, fraction) for fraction in (0.5, 0.9, 0.99)]
    found = [one / 1e6 for one in ranked(played.samples_ns, ranks)]
    print(f"{title:32} {qps:6g} {count:7} " + " ".join(f"{one:9.3f}" for one in found), flush=True)
    return found[0]


def compared(
    model: str, rates: Sequence[float], seconds: float, threads: int
) -> dict[str, list[float]]:
    """What HTTP adds to the bare p50 in milliseconds, for each rate; and what failed."""
    package = offer(model).package
    found: dict[str, list[float]] = {"json": [], "binary": [], "failed": []}
    with connected(find_board("local"), "benchmark") as session:
        bare = PackageOnBoard(session, package, threads)
        bare.open()
        bare_ms = [_told(f"{model} bare", qps, _played(bare, qps, seconds)) for qps in rates]
    with served(model, threads) as (port, name):
        for kind in ("binary", "json"):
            system = Served(kind, port, request_of(package, name, kind == "binary"))
            system.open()
            for qps, alone_ms in zip(rates, bare_ms, strict=True):
                p50_ms = _told(f"{model} {kind}", qps, _played(system, qps, seconds))
                found[kind].append(p50_ms - alone_ms)
            found["failed"].append(system.failed)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table, and end with the line of figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--qps", default="10,50,100", help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each rate")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    rates = [float(one) for one in options.qps.split(",")]
    print(f"{'':32} {'qps':>6} {'queries':>7} {'p50 ms':>9} {'p90 ms':>9} {'p99 ms':>9}")
    found = [compared(one, rates, options.seconds, options.threads) for one in options.models]
    added = {key: [ms for one in found for ms in one[key]] for key in found[0]}
    print(
        f"result: binary_p50_over_bare_ms={median(added['binary']):.3f} "
        f"json_p50_over_bare_ms={median(added['json']):.3f} failed={sum(added['failed']):.0f}"
    )


if __name__ == "__main__":
    main()
