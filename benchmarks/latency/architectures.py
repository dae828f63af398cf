"""Well-known architectures with random weights, in sizes that no schedule was made for.

Channels, maps and row counts are odd on purpose: 10, 20, 36, 72, 200; 17x17, 19x19; 50, 77, 197.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.latency.layers import Net
from edgetvm.recipes.graphs import INT64


def resnet18(_file: Path) -> Any:
    """ResNet-18 at 224."""
    net = Net(input=[1, 3, 224, 224])
    x = net.pool("MaxPool", net.conv("input", 64, 7, 2, act="relu"), 3, 2, 1)
    for features, stride in (
        (64, 1),
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        (512, 1),
    ):
        short = x if stride == 1 else net.conv(x, features, 1, 2, gain=1)
        y = net.conv(net.conv(x, features, 3, stride, act="relu"), features, 3, gain=0.3)
        x = net.node("Relu", net.add(y, short))
    return net.done(net.head(x, 1000))


def mobilenet_v3_small(_file: Path) -> Any:
    """MobileNetV3-Small: excitation, hard swish."""
    net = Net(input=[1, 3, 224, 224])
    x = net.conv("input", 16, 3, 2, act="hardswish")
    table = (
        (3, 16, 16, True, "relu", 2),
        (3, 72, 24, False, "relu", 2),
        (3, 88, 24, False, "relu", 1),
        (5, 96, 40, True, "hardswish", 2),
        (5, 240, 40, True, "hardswish", 1),
        (5, 240, 40, True, "hardswish", 1),
        (5, 120, 48, True, "hardswish", 1),
        (5, 144, 48, True, "hardswish", 1),
        (5, 288, 96, True, "hardswish", 2),
        (5, 576, 96, True, "hardswish", 1),
        (5, 576, 96, True, "hardswish", 1),
    )
    for taps, wide, features, excite, act, stride in table:
        y = x if wide == net.shapes[x][1] else net.conv(x, wide, 1, act=act)
        y = net.conv(y, wide, taps, stride, groups=wide, act=act)
        if excite:
            y = net.excited(y, -(-wide // 4 // 8) * 8, "relu", "hard")
        y = net.conv(y, features, 1, gain=1)
        x = net.add(x, y) if stride == 1 and features == net.shapes[x][1] else y
    x = net.mean(net.conv(x, 576, 1, act="hardswish"))
    flat = net.at(net.node("Flatten", x), 1, 576)
    x = net.act(net.dense(flat, 1024), "hardswish")
    return net.done(net.dense(x, 1000))


def efficientnet_b0(_file: Path) -> Any:
    """EfficientNet-B0: excitation, swish."""
    net = Net(input=[1, 3, 224, 224])
    x = net.conv("input", 32, 3, 2, act="swish")
    table = (
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 40, 2, 2, 5),
        (6, 80, 3, 2, 3),
        (6, 112, 3, 1, 5),
        (6, 192, 4, 2, 5),
        (6, 320, 1, 1, 3),
    )
    for factor, features, count, first, taps in table:
        for index in range(count):
            stride, channels = first if index == 0 else 1, net.shapes[x][1]
            y = x if factor == 1 else net.conv(x, channels * factor, 1, act="swish")
            y = net.conv(y, channels * factor, taps, stride, groups=channels * factor, act="swish")
            y = net.excited(y, max(1, channels // 4), "swish", "sigmoid")
            y = net.conv(y, features, 1, gain=1)
            x = net.add(x, y) if stride == 1 and channels == features else y
    return net.done(net.head(net.conv(x, 1280, 1, act="swish"), 1000))


def yolov8n(_file: Path) -> Any:
    """YOLOv8n at 320, to boxes and classes."""
    net = Net(images=[1, 3, 320, 320])

    def cbs(x: str, features: int, taps: int = 3, stride: int = 1) -> str:
        return net.conv(x, features, taps, stride, act="swish")

    def c2f(x: str, features: int, count: int, residual: bool) -> str:
        parts = list(net.halves(cbs(x, features, 1)))
        for _ in range(count):
            y = cbs(cbs(parts[-1], features // 2), features // 2)
            parts.append(net.add(parts[-1], y) if residual else y)
        return cbs(net.concat(*parts), features, 1)

    x = c2f(cbs(cbs("images", 16, 3, 2), 32, 3, 2), 32, 1, True)
    p3 = c2f(cbs(x, 64, 3, 2), 64, 2, True)
    p4 = c2f(cbs(p3, 128, 3, 2), 128, 2, True)
    p5 = c2f(cbs(p4, 256, 3, 2), 256, 1, True)
    y = cbs(p5, 128, 1)
    pools = [y]
    for _ in range(3):
        pools.append(net.pool("MaxPool", pools[-1], 5, 1, 2))
    p5 = cbs(net.concat(*pools), 256, 1)
    n4 = c2f(net.concat(net.resize(p5), p4), 128, 1, False)
    n3 = c2f(net.concat(net.resize(n4), p3), 64, 1, False)
    n4 = c2f(net.concat(cbs(n3, 64, 3, 2), n4), 128, 1, False)
    n5 = c2f(net.concat(cbs(n4, 128, 3, 2), p5), 256, 1, False)
    flat = []
    for level in (n3, n4, n5):
        box = net.conv(cbs(cbs(level, 64), 64), 64, 1, gain=1)
        classes = net.conv(cbs(cbs(level, 80), 80), 80, 1, gain=1)
        both = net.concat(box, classes)
        size = math.prod(net.shapes[both][2:])
        flat.append(net.reshape(both, 1, 144, size))
    whole = net.concat(*flat, axis=2)
    count = net.shapes[whole][2]
    boxes = net.node("Split", whole, np.array([64, 80]), outputs=2, axis=1)
    net.at(boxes, 1, 64, count)
    net.at(f"{boxes}_1", 1, 80, count)
    spread = net.transpose(net.reshape(boxes, 1, 4, 16, count), 0, 2, 1, 3)
    spread = net.node("Softmax", spread, axis=1)
    weights = np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1)
    lengths = net.node("Conv", spread, weights)
    lengths = net.reshape(net.at(lengths, 1, 1, 4, count), 1, 4, count)
    return net.done(net.concat(lengths, net.act(f"{boxes}_1", "sigmoid")))


def yolov5n(_file: Path) -> Any:
    """YOLOv5n at 320, to its three levels."""
    net = Net(images=[1, 3, 320, 320])

    def cbs(x: str, features: int, taps: int = 3, stride: int = 1) -> str:
        return net.conv(x, features, taps, stride, act="swish")

    def c3(x: str, features: int, count: int, residual: bool) -> str:
        y = cbs(x, features // 2, 1)
        for _ in range(count):
            z = cbs(cbs(y, features // 2, 1), features // 2)
            y = net.add(y, z) if residual else z
        return cbs(net.concat(y, cbs(x, features // 2, 1)), features, 1)

    x = c3(cbs(net.conv("images", 16, 6, 2, pads=[2] * 4, act="swish"), 32, 3, 2), 32, 1, True)
    p3 = c3(cbs(x, 64, 3, 2), 64, 2, True)
    p4 = c3(cbs(p3, 128, 3, 2), 128, 3, True)
    p5 = c3(cbs(p4, 256, 3, 2), 256, 1, True)
    y = cbs(p5, 128, 1)
    pools = [y]
    for _ in range(3):
        pools.append(net.pool("MaxPool", pools[-1], 5, 1, 2))
    t5 = cbs(cbs(net.concat(*pools), 256, 1), 128, 1)
    t4 = cbs(c3(net.concat(net.resize(t5), p4), 128, 1, False), 64, 1)
    n3 = c3(net.concat(net.resize(t4), p3), 64, 1, False)
    n4 = c3(net.concat(cbs(n3, 64, 3, 2), t4), 128, 1, False)
    n5 = c3(net.concat(cbs(n4, 128, 3, 2), t5), 256, 1, False)
    outs = []
    for level in (n3, n4, n5):
        z = net.conv(level, 255, 1, gain=1)
        _, _, h, w = net.shapes[z]
        z = net.transpose(net.reshape(z, 1, 3, 85, h, w), 0, 1, 3, 4, 2)
        outs.append(net.reshape(net.act(z, "sigmoid"), 1, 3 * h * w, 85))
    return net.done(net.concat(*outs, axis=1))


def _vit(size: int, patch: int, width: int, heads: int, layers: int, cls: bool) -> Any:
    net = Net(input=[1, 3, size, size])
    pads = [0, 0, 0, 0]
    x = net.conv("input", width, patch, patch, pads=pads, gain=1)
    count = (size // patch) ** 2
    x = net.transpose(net.reshape(x, 1, width, count), 0, 2, 1)
    if cls:
        first = net.constant(net.near(0, 1, 1, width))
        net.at(first, 1, 1, width)
        x = net.concat(first, x, axis=1)
    x = net.add(x, net.near(0, 1, *net.shapes[x][1:]))
    for _ in range(layers):
        x = net.encoder(x, heads, 4 * width)
    x = net.norm(x)
    x = net.at(net.node("Gather", x, np.array(0), axis=1), 1, width)
    return net.done(net.dense(x, 1000))


def deit_tiny(_file: Path) -> Any:
    """DeiT-Tiny: 197 tokens of 192."""
    return _vit(224, 16, 192, 3, 12, True)


def vit_50(_file: Path) -> Any:
    """A ViT of 50 tokens of 200."""
    return _vit(224, 32, 200, 5, 6, True)


def bert_tiny(_file: Path) -> Any:
    """BERT-Tiny: 128 tokens of 128."""
    net = Net(input_ids=[1, 128])
    x = net.node("Gather", net.drawn(30522, 128, fan_in=2), "input_ids")
    net.at(x, 1, 128, 128)
    x = net.norm(net.add(x, net.near(0, 1, 128, 128)))
    for _ in range(2):
        x = net.norm(net.add(x, net.attention(x, 2)))
        x = net.norm(net.add(x, net.dense(net.dense(x, 512, "gelu"), 128)))
    return net.done(x, dtype=INT64)


def clip_text(_file: Path) -> Any:
    """Three layers of a text encoder: 77 tokens of 256."""
    net = Net(tokens=[1, 77, 256])
    x = "tokens"
    for _ in range(3):
        x = net.encoder(x, 4, 1024)
    return net.done(net.norm(x))


def conformer(_file: Path) -> Any:
    """Two Conformer blocks: 101 frames of 144."""
    net = Net(features=[1, 101, 144])
    x = "features"
    for _ in range(2):
        half = np.array(0.5, np.float32)
        y = net.dense(net.dense(net.norm(x), 576, "swish"), 144)
        x = net.add(x, net.node("Mul", y, half))
        x = net.add(x, net.attention(net.norm(x), 4))
        y = net.transpose(net.norm(x), 0, 2, 1)
        first, second = net.halves(net.conv(y, 288, 1))
        y = net.node("Mul", first, net.act(second, "sigmoid"))
        y = net.conv(y, 144, 15, groups=144, act="swish")
        y = net.transpose(net.conv(y, 144, 1), 0, 2, 1)
        x = net.add(x, y)
        y = net.dense(net.dense(net.norm(x), 576, "swish"), 144)
        x = net.norm(net.add(x, net.node("Mul", y, half)))
    return net.done(x)


def crnn(_file: Path) -> Any:
    """CRNN: convolutions, then two bidirectional LSTMs of 256."""
    net = Net(input=[1, 1, 32, 100])
    x = net.pool("MaxPool", net.conv("input", 64, act="relu"), 2, 2)
    x = net.pool("MaxPool", net.conv(x, 128, act="relu"), 2, 2)
    x = net.conv(net.conv(x, 256, act="relu"), 256, stride=(2, 1), act="relu")
    x = net.conv(net.conv(x, 512, act="relu"), 512, stride=(2, 1), act="relu")
    x = net.conv(x, 512, 2, pads=[0] * 4, act="relu")
    _, channels, _, width = net.shapes[x]
    x = net.transpose(net.reshape(x, 1, channels, width), 2, 0, 1)
    for _ in range(2):
        hidden, size = 256, net.shapes[x][-1]
        x = net.node(
            "LSTM",
            x,
            net.drawn(2, 4 * hidden, size, fan_in=size, gain=1),
            net.drawn(2, 4 * hidden, hidden, fan_in=hidden, gain=1),
            net.near(0, 2, 8 * hidden),
            hidden_size=hidden,
            direction="bidirectional",
        )
        net.at(x, width, 2, 1, hidden)
        x = net.reshape(net.transpose(x, 0, 2, 1, 3), width, 1, 2 * hidden)
    return net.done(net.dense(x, 37))


def tcn(_file: Path) -> Any:
    """A causal network with dilations up to 32."""
    net = Net(input=[1, 40, 400])
    x = net.conv("input", 72, 1)
    for step in range(6):
        y = x
        for _ in range(2):
            dilation = 2**step
            y = net.conv(y, 72, 3, dilation=dilation, pads=[2 * dilation, 0], act="relu")
        x = net.add(x, y)
    return net.done(net.conv(x, 10, 1))


def unet_small(_file: Path) -> Any:
    """A U-Net of 20 to 144 features at 128."""
    net = Net(input=[1, 3, 128, 128])

    def double(x: str, features: int) -> str:
        return net.conv(net.conv(x, features, act="relu"), features, act="relu")

    x, skips = "input", []
    for features in (20, 36, 72):
        skips.append(double(x, features))
        x = net.pool("MaxPool", skips[-1], 2, 2)
    x = double(x, 144)
    for features in (72, 36, 20):
        x = double(net.concat(net.up(x, features), skips.pop()), features)
    return net.done(net.conv(x, 2, 1, gain=1))


def convnext_atto(_file: Path) -> Any:
    """ConvNeXt-Atto: depthwise 7x7, layer norm, GELU."""
    net = Net(input=[1, 3, 224, 224])

    def channel_norm(x: str) -> str:
        return net.transpose(net.norm(net.transpose(x, 0, 2, 3, 1)), 0, 3, 1, 2)

    x = channel_norm(net.conv("input", 40, 4, 4, pads=[0] * 4))
    for features, count in ((40, 2), (80, 2), (160, 6), (320, 2)):
        if features > 40:
            x = net.conv(channel_norm(x), features, 2, 2, pads=[0] * 4)
        for _ in range(count):
            y = net.norm(net.transpose(net.conv(x, features, 7, groups=features), 0, 2, 3, 1))
            y = net.dense(net.dense(y, 4 * features, "gelu"), features)
            y = net.node("Mul", y, net.near(0.5, features))
            x = net.add(x, net.transpose(y, 0, 3, 1, 2))
    return net.done(net.head(x, 1000))


def gru_seq(_file: Path) -> Any:
    """Two GRUs of 100 over 50 steps."""
    net = Net(input=[50, 1, 40])
    x, size = "input", 40
    for _ in range(2):
        hidden = 100
        x = net.node(
            "GRU",
            x,
            net.drawn(1, 3 * hidden, size, fan_in=size, gain=1),
            net.drawn(1, 3 * hidden, hidden, fan_in=hidden, gain=1),
            net.near(0, 1, 6 * hidden),
            hidden_size=hidden,
            linear_before_reset=1,
        )
        x, size = net.reshape(x, 50, 1, hidden), hidden
    return net.done(net.dense(x, 12, "sigmoid"))


def lstm_speech(_file: Path) -> Any:
    """Two LSTMs of 200 over 25 frames."""
    net = Net(input=[25, 1, 257])
    x, size = "input", 257
    for _ in range(2):
        hidden = 200
        x = net.node(
            "LSTM",
            x,
            net.drawn(1, 4 * hidden, size, fan_in=size, gain=1),
            net.drawn(1, 4 * hidden, hidden, fan_in=hidden, gain=1),
            net.near(0, 1, 8 * hidden),
            hidden_size=hidden,
        )
        x, size = net.reshape(x, 25, 1, hidden), hidden
    return net.done(net.dense(x, 257, "sigmoid"))


def mixer(_file: Path) -> Any:
    """MLP-Mixer: 196 patches of 192."""
    net = Net(input=[1, 3, 224, 224])
    x = net.conv("input", 192, 16, 16, pads=[0] * 4, gain=1)
    x = net.transpose(net.reshape(x, 1, 192, 196), 0, 2, 1)
    for _ in range(6):
        y = net.transpose(net.norm(x), 0, 2, 1)
        y = net.dense(net.dense(y, 96, "gelu"), 196)
        x = net.add(x, net.transpose(y, 0, 2, 1))
        x = net.add(x, net.dense(net.dense(net.norm(x), 768, "gelu"), 192))
    x = net.at(net.node("ReduceMean", net.norm(x), axes=[1], keepdims=0), 1, 192)
    return net.done(net.dense(x, 1000))


def regnet_x200(_file: Path) -> Any:
    """RegNetX-200MF: groups of 8 channels."""
    net = Net(input=[1, 3, 224, 224])
    x = net.conv("input", 32, 3, 2, act="relu")
    for features, count in ((24, 1), (56, 1), (152, 4), (368, 7)):
        for index in range(count):
            stride = 2 if index == 0 else 1
            short = net.conv(x, features, 1, 2, gain=1) if index == 0 else x
            y = net.conv(
                net.conv(x, features, 1, act="relu"),
                features,
                3,
                stride,
                groups=features // 8,
                act="relu",
            )
            x = net.node("Relu", net.add(net.conv(y, features, 1, gain=0.3), short))
    return net.done(net.head(x, 1000))


def deeplab_dilated(_file: Path) -> Any:
    """A dilated MobileNetV2 with pyramid and linear resizing by 8."""
    net = Net(input=[1, 3, 136, 136])
    x = net.conv("input", 16, 3, 2, act="relu6")
    for wide, features, stride, dilation in (
        (96, 24, 2, 1),
        (144, 24, 1, 1),
        (144, 32, 2, 1),
        (192, 32, 1, 1),
        (192, 64, 1, 2),
        (384, 64, 1, 2),
        (384, 96, 1, 2),
        (576, 96, 1, 4),
    ):
        y = net.conv(x, wide, 1, act="relu6")
        y = net.conv(y, wide, 3, stride, groups=wide, dilation=dilation, act="relu6")
        y = net.conv(y, features, 1, gain=1)
        x = net.add(x, y) if stride == 1 and features == net.shapes[x][1] else y
    parts = [net.conv(x, 72, 1, act="relu")]
    parts += [net.conv(x, 72, 3, dilation=rate, act="relu") for rate in (2, 4, 6)]
    x = net.conv(net.concat(*parts), 72, 1, act="relu")
    x = net.conv(x, 21, 1, gain=1)
    return net.done(net.resize(x, 8, "linear"))


def kws_1d(_file: Path) -> Any:
    """M5 on 8000 samples: a first layer of 80 taps."""
    net = Net(input=[1, 1, 8000])
    x = net.conv("input", 35, 80, 16, pads=[0, 0], act="relu")
    x = net.conv(x, 35, 3, 2, act="relu")
    x = net.conv(x, 70, 3, 2, act="relu")
    x = net.conv(x, 70, 3, 2, act="relu")
    return net.done(net.head(x, 35))


def tc_resnet(_file: Path) -> Any:
    """TC-ResNet8: 9 taps over 98 frames."""
    net = Net(input=[1, 40, 98])
    x = net.conv("input", 20, 3)
    for features in (30, 36, 50):
        y = net.conv(net.conv(x, features, 9, 2, act="relu"), features, 9, gain=0.5)
        x = net.node("Relu", net.add(y, net.conv(x, features, 1, 2, act="relu")))
    return net.done(net.head(x, 12))


def shufflenet_v2(_file: Path) -> Any:
    """ShuffleNetV2 0.5x."""
    net = Net(input=[1, 3, 224, 224])
    x = net.pool("MaxPool", net.conv("input", 24, 3, 2, act="relu"), 3, 2, 1)

    def shuffled(x: str) -> str:
        _, channels, h, w = net.shapes[x]
        x = net.transpose(net.reshape(x, 1, 2, channels // 2, h, w), 0, 2, 1, 3, 4)
        return net.reshape(x, 1, channels, h, w)

    for features, count in ((48, 4), (96, 8), (192, 4)):
        half = features // 2
        left = net.conv(
            net.conv(x, net.shapes[x][1], 3, 2, groups=net.shapes[x][1]), half, 1, act="relu"
        )
        right = net.conv(net.conv(x, half, 1, act="relu"), half, 3, 2, groups=half)
        x = shuffled(net.concat(left, net.conv(right, half, 1, act="relu")))
        for _ in range(count - 1):
            left, right = net.halves(x)
            right = net.conv(net.conv(right, half, 1, act="relu"), half, 3, groups=half)
            x = shuffled(net.concat(left, net.conv(right, half, 1, act="relu")))
    return net.done(net.head(net.conv(x, 1024, 1, act="relu"), 1000))


def fsrcnn(_file: Path) -> Any:
    """FSRCNN: one feature by a transposed convolution of 9x9."""
    net = Net(input=[1, 1, 120, 160])
    x = net.conv("input", 56, 5, act="prelu")
    x = net.conv(x, 12, 1, act="prelu")
    for _ in range(4):
        x = net.conv(x, 12, 3, act="prelu")
    x = net.conv(x, 56, 1, act="prelu")
    made = net.node(
        "ConvTranspose",
        x,
        net.drawn(56, 1, 9, 9, fan_in=56 * 20, gain=1),
        net.near(0, 1),
        kernel_shape=[9, 9],
        strides=[2, 2],
        pads=[4] * 4,
        output_padding=[1, 1],
    )
    return net.done(made)


def espcn(_file: Path) -> Any:
    """ESPCN: 160x160 to 480x480 by depth to space."""
    net = Net(input=[1, 1, 160, 160])
    x = net.conv("input", 64, 5, act="tanh")
    x = net.conv(net.conv(x, 32, 3, act="tanh"), 9, 3, gain=1)
    return net.done(net.node("DepthToSpace", x, blocksize=3, mode="CRD"))


def c3d_tiny(_file: Path) -> Any:
    """Three convolutions in three dimensions."""
    net = Net(input=[1, 3, 8, 56, 56])
    x = net.conv("input", 16, 3, (1, 2, 2), act="relu")
    x = net.conv(x, 32, 3, 2, act="relu")
    x = net.conv(x, 64, 3, 2, act="relu")
    return net.done(net.head(x, 10))


def odd_resnet(_file: Path) -> Any:
    """Residual blocks of 36, 72 and 200 features on odd maps."""
    net = Net(input=[1, 3, 152, 152])
    x = net.conv("input", 20, 5, 2, act="leaky")
    for features in (36, 72, 200):
        x = net.conv(x, features, 3, 2, act="leaky")
        y = net.conv(net.conv(x, features // 2, 1, act="leaky"), features, 3, act="leaky", gain=0.5)
        x = net.add(x, y)
    return net.done(net.conv(x, 10, 1, gain=1))


def inception_block(_file: Path) -> Any:
    """Two Inception blocks of 1x7 and 7x1 at 17x17."""
    net = Net(input=[1, 192, 17, 17])
    x = "input"
    for _ in range(2):
        a = net.conv(x, 96, 1, act="relu")
        b = net.conv(
            net.conv(net.conv(x, 64, 1, act="relu"), 72, (1, 7), act="relu"), 96, (7, 1), act="relu"
        )
        c = net.conv(net.conv(x, 64, 1, act="relu"), 96, 3, act="relu")
        d = net.conv(net.pool("AveragePool", x, 3, 1, 1), 36, 1, act="relu")
        x = net.concat(a, b, c, d)
    return net.done(net.head(x, 20))


def mlp_tabular(_file: Path) -> Any:
    """Five small layers."""
    net = Net(input=[1, 77])
    x = "input"
    for width in (300, 200, 100, 50):
        x = net.dense(x, width, "relu")
    return net.done(net.dense(x, 10))


def vae_decoder(_file: Path) -> Any:
    """Transposed convolutions of 4x4 from 7x7 to 56x56."""
    net = Net(input=[1, 64])
    x = net.reshape(net.dense("input", 128 * 7 * 7, "relu"), 1, 128, 7, 7)
    x = net.up(x, 64, 4, 2, act="relu")
    x = net.up(x, 32, 4, 2, act="relu")
    x = net.up(x, 16, 4, 2, act="relu")
    return net.done(net.conv(x, 3, 3, act="sigmoid"))


def wavenet_vocoder(_file: Path) -> Any:
    """Transposed and dilated convolutions over 1024 samples."""
    net = Net(input=[1, 80, 32])
    x = net.conv("input", 128, 7, act="leaky")
    for features, factor in ((64, 8), (32, 4)):
        x = net.up(x, features, 2 * factor, factor, act="leaky")
        y = x
        for dilation in (1, 3, 5):
            z = net.conv(net.act(y, "leaky"), features, 3, dilation=dilation, act="leaky")
            y = net.add(y, net.conv(z, features, 3, gain=0.5))
        x = y
    return net.done(net.conv(x, 1, 7, act="tanh", gain=1))


ARCHITECTURES: dict[str, Callable[[Path], Any]] = {
    one.__name__.replace("_", "-"): one
    for one in (
        resnet18,
        mobilenet_v3_small,
        efficientnet_b0,
        yolov8n,
        yolov5n,
        deit_tiny,
        vit_50,
        bert_tiny,
        clip_text,
        conformer,
        crnn,
        tcn,
        unet_small,
        convnext_atto,
        gru_seq,
        lstm_speech,
        mixer,
        regnet_x200,
        deeplab_dilated,
        kws_1d,
        tc_resnet,
        shufflenet_v2,
        fsrcnn,
        espcn,
        c3d_tiny,
        odd_resnet,
        inception_block,
        mlp_tabular,
        vae_decoder,
        wavenet_vocoder,
    )
}
