"""What is heard as it comes, and what is typed: by clients' own hands, and in a browser."""

from __future__ import annotations

import base64
import io
import json
import threading
import wave
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from live_browser import page_at
from made_models import value, write
from numpy.typing import NDArray
from onnx import helper
from real_board import within
from served import Server, application_serving, command_serving
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from edgetvm.models.model import Arrays, Signature, State, TensorSpec
from edgetvm.recipes import Recipe, Sample, interpret, load_recipe, prepare, samples
from edgetvm.workflow.serving.app import make_app
from edgetvm.workflow.serving.asking import Limits
from edgetvm.workflow.serving.dictation import Dictation
from edgetvm.workflow.serving.executors import Executors, Runnable
from edgetvm.workflow.serving.live import LiveStream
from edgetvm.workflow.serving.metrics import ModelMetrics
from edgetvm.workflow.serving.offers import offer
from edgetvm.workflow.serving.served import Models, ServedModel

RATE_HZ, HOP = 16000, 1600
NO_NUMBER = "the model's answer holds NaN or infinity: JSON has neither"
RECIPE = """
name: loud
task: loudness
description: Whether it is loud, from the power of a tenth of a second and the one before
licence: Apache-2.0
model: {path: loud.onnx}
inputs: {sound: {shape: [1, 2000]}, before: {shape: [1, 1]}}
stream:
  sample_rate_hz: 16000
  window_samples: 2000
  hop_samples: 1600
  input: sound
  states: {before: power}
preprocess: {name: audio-windows}
postprocess: {name: speech-probability, output: loud}
"""
SIGNATURE = Signature(
    (TensorSpec("sound", (1, 2000), "float32"), TensorSpec("before", (1, 1), "float32")),
    (TensorSpec("loud", (1, 1), "float32"), TensorSpec("power", (1, 1), "float32")),
    (State("before", "power"),),
)


def write_loud(folder: Path) -> Path:
    """`loud` = sigmoid(200 (mean of `before` and `power` - 0.02)); `power` = mean of squares."""
    nodes = [
        helper.make_node("Mul", ["sound", "sound"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["power"], axes=[1], keepdims=1),
        helper.make_node("Add", ["power", "before"], ["both"]),
        helper.make_node("Sub", ["both", "usual"], ["more"]),
        helper.make_node("Mul", ["more", "steep"], ["steeper"]),
        helper.make_node("Sigmoid", ["steeper"], ["loud"]),
    ]
    inputs = [value("sound", [1, 2000]), value("before", [1, 1])]
    outputs = [value("loud", [1, 1]), value("power", [1, 1])]
    constants = {"usual": np.array(0.04, np.float32), "steep": np.array(100, np.float32)}
    write(folder / "loud.onnx", nodes, inputs, outputs, constants)
    path = folder / "recipes" / "loud.yaml"
    path.parent.mkdir()
    path.write_text(RECIPE.replace("loud.onnx", "../loud.onnx"))
    return path


MOOD = """
name: mood
task: sentiment
description: Whether more words are good or bad
licence: Apache-2.0
model: {path: ../mood.onnx}
module: mood.py
preprocess: {name: test-mood-words}
postprocess: {name: top-k, labels: [bad, good]}
"""
MOOD_MODULE = """
import numpy as np
from edgetvm.recipes import PREPROCESS

@PREPROCESS.register("test-mood-words", needs_text=True)
def test_mood_words(recipe, sample):
    words = sample.attributes["text"].lower().split()
    return {"counts": np.array([[words.count("bad"), words.count("good")]], np.float32)}
"""


def write_mood(folder: Path) -> Path:
    """`scores` = softmax of how often each word is there."""
    nodes = [helper.make_node("Softmax", ["counts"], ["scores"], axis=1)]
    write(folder / "mood.onnx", nodes, [value("counts", [1, 2])], [value("scores", [1, 2])])
    path = folder / "recipes" / "mood.yaml"
    path.parent.mkdir()
    path.write_text(MOOD)
    path.with_suffix(".py").write_text(MOOD_MODULE)
    return path


@pytest.fixture(scope="module")
def recipe_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_loud(tmp_path_factory.mktemp("loud"))


@pytest.fixture(scope="module")
def recipe(recipe_path: Path) -> Recipe:
    return load_recipe(str(recipe_path))


@pytest.fixture(scope="module")
def mood_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mood(tmp_path_factory.mktemp("mood"))


@pytest.fixture(scope="module")
def mood(mood_path: Path) -> Recipe:
    return load_recipe(str(mood_path))


@pytest.fixture(scope="module")
def server(recipe_path: Path, mood_path: Path, shared_cache: Path) -> Iterator[Server]:
    with command_serving(shared_cache, recipe_path, mood_path, "--most-listeners", "2") as up:
        yield up


def tone(seconds: float, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    return np.asarray(
        0.6 * np.sin(2700 * np.arange(round(seconds * rate_hz)) / rate_hz), np.float32
    )


def silence(seconds: float, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    return np.zeros(round(seconds * rate_hz), np.float32)


def signal(rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """Loud from 0.5 s to 1.1 s."""
    return np.concatenate([silence(0.5, rate_hz), tone(0.6, rate_hz), silence(0.9, rate_hz)])


def wav(samples: NDArray[np.float32], rate_hz: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, rate_hz, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def test_chunk_by_chunk_it_is_what_the_whole_signal_gives(recipe: Recipe) -> None:
    """With ONNX Runtime in the model's place: of prepared windows, states and events."""
    assert recipe.model.path is not None
    session = onnxruntime.InferenceSession(recipe.model.path, providers=["CPUExecutionProvider"])
    whole, noise = signal(), np.random.default_rng(0).normal(0, 0.15, 32000).astype(np.float32)
    for sound in (whole, np.clip(noise, -1, 1)):
        sample = Sample("all", sound, attributes={"sample_rate_hz": RATE_HZ})
        expected, before = [], np.zeros((1, 1), np.float32)
        for window in prepare(recipe, sample)["sound"]:
            loud, before = session.run(None, {"sound": window, "before": before})
            expected.append(loud)
        spans = interpret(recipe, {"loud": np.stack(expected)}, sample)
        stream, found, events = LiveStream(recipe, SIGNATURE), [], []
        for chunk in sound.reshape(-1, HOP):
            loud, power = session.run(None, stream.inputs(chunk))
            said, new = stream.answered({"loud": loud, "power": power})
            found.append(said.score)
            events += new
        np.testing.assert_array_equal(found, np.ravel(expected))
        edges = [one for span in spans["spans_s"] for one in span]
        told = [one.at_s - HOP / RATE_HZ for one in events]
        np.testing.assert_allclose(told, edges[: len(told)], atol=1e-9)
        assert len(edges) - len(told) in (0, 1), "what is loud at the end is not over"


def opened(
    server: Server, path: str = "/pages/loud/chunks", origin: str | None = None
) -> ClientConnection:
    return connect(f"ws://{server.address}{path}", origin=origin, compression=None)  # type: ignore[arg-type]


def test_a_listener_hears_when_it_is_loud(server: Server) -> None:
    events = []
    with opened(server, origin=f"http://{server.address}") as socket:
        for chunk in signal().reshape(-1, HOP):
            socket.send(chunk.astype("<f4").tobytes())
            answer = json.loads(socket.recv(20))
            events += answer["events"]
            assert answer["run_ms"] > 0
    assert [(one["word"], one["what"]) for one in events] == [
        ("loud", "begins"),
        ("loud", "is over"),
    ]
    assert 0.5 <= events[0]["at_s"] <= 0.8
    assert 1.1 <= events[1]["at_s"] <= 1.4


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["", "o", "one", "one t", "one two", "one two"], ["one", "two"]),
        (["one two", "one two", "one three", "one three four"], ["one", "two", "three"]),
        (["one two three", "two three four", "three four five", "three four five"],
         ["one", "two", "three", "four", "five"]),
        (["one two", "one two", "one", "one"], ["one", "two"]),
        (["one two six six", "one two six six", "two six six", "o six six", "six six", "six six"],
         ["one", "two", "six", "six"]),
        (["zero one two", "zero one two", "no one two six", "no one two six", "e two six five six"],
         ["zero", "one", "two", "six", "five"]),
        (["five", "five", "five five", "five five", "", ""], ["five", "five"]),
    ],
)  # fmt: skip
def test_each_word_is_told_once_when_it_is_settled(texts: list[str], told: list[str]) -> None:
    dictation = Dictation()
    assert [word for text in texts for word in dictation.heard(text)] == told


def test_digits_that_are_spoken_on_and_on_are_told_once() -> None:
    """For longer than the text lasts: its begin is cut off in the midst of words."""
    digits = load_recipe("speech/spoken-digits")
    assert digits.model.path is not None
    assert digits.data is not None
    assert digits.postprocess is not None
    narrow = {**digits.postprocess.parameters, "beam": 4}
    digits = replace(
        digits,
        data=replace(digits.data, parameters={"count": 3}),
        postprocess=replace(digits.postprocess, parameters=narrow),
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        digits.model.path, options, providers=["CPUExecutionProvider"]
    )
    said = samples(digits)
    sound = np.concatenate([part for one in said for part in (one.value, silence(1))])
    stream = LiveStream(digits, Signature((TensorSpec("sound", (1, 25600), "float32"),), ()))
    told = []
    for chunk in sound[: len(sound) // stream.hop * stream.hop].reshape(-1, stream.hop):
        (letters,) = session.run(None, stream.inputs(chunk))
        told += [event.word for event in stream.answered({"letters": letters})[1]]
    assert told == " ".join(str(one.label) for one in said).split()


def test_what_is_no_chunk_ends_the_stream(server: Server) -> None:
    for wrong in (b"", b"123", bytes(4 * HOP + 4), "text"):
        with opened(server) as socket:
            socket.send(wrong)
            assert json.loads(socket.recv(20)) == {"error": "send 1600 float32 samples at a time"}
            with pytest.raises(ConnectionClosedError, match="1003"):
                socket.recv(20)


@pytest.mark.parametrize(
    ("path", "origin"),
    [
        ("/pages/other/chunks", None),
        *(("/pages/loud/chunks", one) for one in ("http://evil.example", "null", "http://[x")),
    ],
)
def test_strangers_are_not_heard(server: Server, path: str, origin: str | None) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        opened(server, path, origin)


def test_sounds_that_cannot_be_are_heard_as_far_as_they_can(server: Server) -> None:
    odd = np.full(HOP, np.nan, "<f4")
    odd[::2] = 9.0
    with opened(server) as socket:
        socket.send(odd.tobytes())
        assert json.loads(socket.recv(20))["score"] == pytest.approx(1, abs=0.01)


def test_the_page_hears_a_microphone_and_a_file(server: Server, tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    sound.write_bytes(wav(signal(48000), 48000))
    flags = [
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
        "--autoplay-policy=no-user-gesture-required",
        f"--use-file-for-fake-audio-capture={sound}",
    ]  # fmt: skip
    with page_at(f"http://{server.address}/", tmp_path / "browser", flags) as page:

        def text(name: str) -> str:
            return str(page.value(f"document.getElementById('{name}')?.innerText ?? ''"))

        def heard() -> bool:
            return "loud begins" in text("events") and "loud is over" in text("events")

        assert within(20, lambda: text("state") == "nothing is heard yet")
        page.value("document.getElementById('microphone').click()")
        assert within(20, heard), (text("state"), text("chunks"), text("events"))
        assert int(text("chunks")) > 5
        assert text("p50").endswith(" ms")
        page.value("document.getElementById('stop').click()")
        assert within(10, lambda: text("state") == "stopped")

        data = base64.b64encode(wav(signal(), RATE_HZ)).decode()
        page.value(
            f"""{{
            const bytes = Uint8Array.from(atob("{data}"), one => one.charCodeAt(0));
            const given = new DataTransfer();
            given.items.add(new File([bytes], "tone.wav"));
            const input = document.getElementById("file");
            input.files = given.files;
            input.dispatchEvent(new Event("change"));
            }}"""
        )
        assert within(20, lambda: text("state") == "the file is over"), text("state")
        assert within(5, heard)
        assert page.value("document.title") == "loud live"

        page.value("document.getElementById('stop').click()")
        with opened(server), opened(server):
            page.value("document.getElementById('microphone').click()")
            assert within(10, lambda: "2 listeners already" in text("state")), text("state")


def test_the_page_loads_nothing_from_elsewhere(server: Server) -> None:
    status, text, headers = server.ask("/pages/loud")
    assert status == 200
    assert b"http://" not in text
    assert b"https://" not in text
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.split("script-src")[1].split(";")[0]
    assert server.ask("/pages/loud")[2]["Content-Security-Policy"] != policy
    assert server.ask("/pages/other")[0] == 404


@pytest.mark.parametrize(("text", "best"), [("good, good and good", "good"), ("so bad", "bad")])
def test_a_text_is_judged(server: Server, text: str, best: str) -> None:
    status, told = server.document("/pages/mood/text", {"text": text})
    assert status == 200, told
    counts = {word: text.split().count(word) for word in ("bad", "good")}
    shares = {
        word: np.exp(count) / sum(map(np.exp, counts.values())) for word, count in counts.items()
    }
    assert told["classes"][0]["label"] == best
    for one in told["classes"]:
        assert one["score"] == pytest.approx(shares[one["label"]], rel=1e-5)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"{}", b'{"text": 3}', b'{"text": " "}', bytes(1 << 17)]
)
def test_what_is_no_text_is_refused(server: Server, body: bytes) -> None:
    status, text, _ = server.ask("/pages/mood/text", body)
    assert status in (400, 413)
    assert list(json.loads(text)) == ["error"]


def test_the_page_says_of_a_text_what_it_is(server: Server, tmp_path: Path) -> None:
    with page_at(f"http://{server.address}/pages/mood", tmp_path / "browser") as page:
        assert within(20, lambda: page.value("document.title") == "mood")
        page.value("document.getElementById('text').value = 'good <b>good</b> good'")
        page.value("document.querySelector('form button').click()")
        verdict = "document.getElementById('verdict').innerText"
        assert within(10, lambda: page.value(verdict) == "good"), page.value(
            "document.body.innerText"
        )
        assert page.value("document.querySelectorAll('#classes tr').length") == 2
        assert "the run took" in page.value("document.getElementById('times').innerText")


def test_a_package_is_served_without_a_page_where_its_recipe_is_of_nobody(
    mood_path: Path, tmp_path: Path, session_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = offer(str(mood_path))
    assert made.recipe is not None
    path = tmp_path / "mood.edgetvm"
    path.write_bytes(made.package.data)
    monkeypatch.chdir(mood_path.parent.parent)
    monkeypatch.delenv("EDGETVM_RECIPES", raising=False)
    assert offer(str(path)).recipe is None
    monkeypatch.setenv("EDGETVM_RECIPES", str(mood_path.parent))
    assert offer(str(path)).recipe == made.recipe


class Slow:
    """A model whose run goes on until it may end."""

    def __init__(self) -> None:
        self.began, self.may_end = threading.Event(), threading.Event()

    def run(self, _inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        self.began.set()
        assert self.may_end.wait(20)
        return {name: np.zeros((1, 1), np.float32) for name in ("loud", "power")}


def heard_by(recipe: Recipe, signature: Signature, model: Runnable) -> ServedModel:
    executors = Executors(recipe.name, lambda: model, [[]])
    metrics = ModelMetrics(lambda: executors.waiting)
    return ServedModel(recipe.name, "1", signature, recipe, executors, metrics)


def test_a_listener_that_goes_in_the_middle_of_a_chunk_frees_its_place(
    recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = Slow()
    model = heard_by(recipe, SIGNATURE, slow)
    limits = Limits(listeners=1)
    with application_serving(make_app(Models((model,)), limits, ("*",))) as up:
        with opened(up) as socket:
            for _ in range(3):
                socket.send(bytes(4 * HOP))
            assert slow.began.wait(20)
            with opened(up) as other:
                assert "1 listeners already" in json.loads(other.recv(20))["error"]
                with pytest.raises(ConnectionClosedError, match="1013"):
                    other.recv(20)
            assert b'edgetvm_listeners{model="loud",version="1"} 1' in up.ask("/metrics")[1]
        assert within(20, lambda: model.metrics.listeners == model.metrics.in_flight == 0)
        with opened(up) as socket:
            slow.may_end.set()
            socket.send(bytes(4 * HOP))
            assert json.loads(socket.recv(20))["word"] == ""
    assert capsys.readouterr().err == ""


def test_a_listener_that_is_silent_for_too_long_is_sent_away(recipe: Recipe) -> None:
    model = heard_by(recipe, SIGNATURE, Slow())
    application = make_app(Models((model,)), Limits(timeout_s=0.1), ("*",))
    with application_serving(application) as up, opened(up) as socket:
        assert json.loads(socket.recv(20)) == {"error": "no chunk came in time"}
        assert within(20, lambda: model.metrics.listeners == 0)


@dataclass(frozen=True)
class Odd:
    """A model whose answers are no numbers."""

    outputs: dict[str, NDArray[np.float32]]

    def run(self, _inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        return self.outputs


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_json_does_not_have_is_told_on_pages_too(
    recipe: Recipe, mood: Recipe, odd: float
) -> None:
    number = np.full((1, 1), odd, np.float32)
    typed = Signature(
        (TensorSpec("counts", (1, 2), "float32"),), (TensorSpec("scores", (1, 2), "float32"),)
    )
    models = (
        heard_by(recipe, SIGNATURE, Odd({"loud": number, "power": number})),
        heard_by(mood, typed, Odd({"scores": np.repeat(number, 2, axis=1)})),
    )
    with application_serving(make_app(Models(models), Limits(), ("*",))) as up:
        status, told = up.document("/pages/mood/text", {"text": "good"})
        assert (status, told) == (500, {"error": NO_NUMBER})
        with opened(up) as socket:
            socket.send(bytes(4 * HOP))
            assert json.loads(socket.recv(20)) == {"error": NO_NUMBER}
