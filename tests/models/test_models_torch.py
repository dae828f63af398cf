"""Exported PyTorch programs. PyTorch is a group of its own: scripts/test --all runs these."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgetvm
from edgetvm.base.errors import InputError, ModelUnreadableError, UnsupportedOperatorsError
from edgetvm.models import ImportOptions, Model, import_model
from edgetvm.models.correctness import worst_error
from edgetvm.models.fills import fill
from edgetvm.models.reference import Source, reference_for
from edgetvm.package import check

pytestmark = pytest.mark.torch


def _module(function: Callable[..., Any], *below: Any) -> Any:
    """A module whose forward() is a function of its inputs and the modules below it."""
    import torch

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.below = torch.nn.ModuleList(below)

        def forward(self, *inputs: Any) -> Any:
            return function(*inputs, *self.below)

    return Module()


def _network() -> Any:
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 8 * 8, 5),
    ).eval()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    import torch

    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(_network(), (torch.rand(1, 3, 16, 16),)), path)
    return path


def _assert_agrees(model: Model, least: float = 0.0, most: float = 1.0) -> None:
    """The imported module, not optimised, against the program as PyTorch runs it."""
    import tvm
    from tvm import relax

    inputs = {
        name: array * (most - least) + least if array.dtype.kind == "f" else array
        for name, array in fill(model.signature, "random").items()
    }
    inputs = {spec.name: inputs[spec.name].astype(spec.dtype) for spec in model.signature.inputs}
    expected = reference_for(Source.of(model)).run(inputs)
    with tvm.transform.PassContext(opt_level=0):
        machine = relax.VirtualMachine(relax.build(model.module, "llvm"), tvm.cpu())
    results = machine["main"](*(tvm.runtime.tensor(array) for array in inputs.values()))
    outputs = (spec.name for spec in model.signature.outputs)
    found = {name: result.numpy() for name, result in zip(outputs, results, strict=True)}
    assert worst_error(found, expected).max_relative_error < 1e-4, worst_error(found, expected)


def test_a_program_is_checked_against_pytorch_like_any_other(program: Path) -> None:
    model = import_model(program)
    (spec,) = model.signature.inputs
    assert spec.shape == (1, 3, 16, 16) and spec.dtype == "float32"
    # The normalisation went into the convolution, which has a bias now.
    assert model.parameter_count == 3 * 8 * 9 + 8 + 512 * 5 + 5
    artifact = edgetvm.compile_model(model, edgetvm.load_profile("local"))
    assert check(artifact, model).correctness.reference.startswith("torch ")


def test_nodes_have_the_names_of_modules(program: Path) -> None:
    assert set(import_model(program).nodes.values()) >= {"0", "5"}


def test_a_module_of_this_process(tmp_path: Path) -> None:
    import torch

    module = _network()
    module[1].train()
    model = edgetvm.import_torch(module, torch.rand(1, 3, 16, 16), name="mine")
    assert module[1].training and not module.training
    assert model.name == "mine" and model.source.name == "mine.pt2"
    again = edgetvm.import_torch(module, (torch.rand(1, 3, 16, 16),), name="mine")
    assert again.source == model.source
    kept = edgetvm.import_torch(module, torch.rand(1, 3, 16, 16), path=tmp_path / "kept.pt2")
    assert kept.source == tmp_path / "kept.pt2" and kept.source.is_file()
    array = np.random.default_rng(7).random((1, 3, 16, 16)).astype("float32")
    (found,) = reference_for(Source.of(model)).run({model.signature.inputs[0].name: array}).values()
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(array)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_module_that_cannot_be_exported_is_told_in_one_sentence() -> None:
    import torch

    module = _module(lambda x: x if x.sum() > 0 else -x)
    with pytest.raises(ModelUnreadableError, match="Module: PyTorch cannot export it") as caught:
        edgetvm.import_torch(module, torch.rand(2))
    assert "\n" not in str(caught.value)


def test_layers() -> None:
    import torch
    from torch import nn
    from torch.nn import functional as f

    bias = nn.Sequential(nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2), nn.SELU())
    module = _module(
        lambda x, *m: (
            *(one(x) for one in m),
            f.adaptive_avg_pool2d(x, (5, 3)),
            f.adaptive_max_pool2d(x, (5, 3)),
            f.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
            f.avg_pool2d(x, 2, divisor_override=3),
            f.unfold(x, (2, 3), dilation=(1, 2), padding=(1, 0), stride=(2, 1)),
            f.pixel_shuffle(x, 2),
        ),
        bias,
        nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), nn.Hardswish()),
        nn.GroupNorm(2, 4, affine=False),
        nn.InstanceNorm2d(4, affine=True),
        nn.Sequential(nn.LogSigmoid(), nn.ELU(0.3), nn.Softplus(2, 3), nn.BatchNorm2d(4)),
    )
    _assert_agrees(edgetvm.import_torch(module, torch.rand(1, 4, 12, 10)), -4, 4)


def test_resizing() -> None:
    import torch
    from torch.nn.functional import interpolate

    def resized(x: Any) -> Any:
        return (
            interpolate(x, size=(7, 13)),
            interpolate(x, size=(7, 13), mode="nearest-exact"),
            interpolate(x, scale_factor=1.7, mode="bilinear"),
            interpolate(x, size=(7, 13), mode="bilinear", align_corners=True),
            interpolate(x, size=(7, 6), mode="bilinear", antialias=True),
            interpolate(x, scale_factor=2, mode="bicubic"),
            interpolate(x[:, :, None], scale_factor=2, mode="trilinear"),
            interpolate(x[:, :, 0], scale_factor=2, mode="linear"),
        )

    _assert_agrees(edgetvm.import_torch(_module(resized), torch.rand(1, 3, 12, 10)))


def test_attention() -> None:
    import torch
    from torch import nn
    from torch.nn.functional import scaled_dot_product_attention as attend

    def attention(x: Any, mask: Any, block: Any) -> Any:
        q = x.reshape(1, 6, 4, 4).transpose(1, 2)
        return (
            block(x),
            attend(q, q, q, attn_mask=mask > 0, scale=0.3),
            attend(q, q, q, is_causal=True),
            attend(q, q[:, :2], q[:, 2:], attn_mask=mask.float(), enable_gqa=True),
        )

    block = nn.TransformerEncoderLayer(16, 4, 32, activation="gelu", batch_first=True)
    # Some rows of this mask may look at nothing.
    inputs = (torch.rand(1, 6, 16), torch.ones(6, 6, dtype=torch.int64))
    _assert_agrees(edgetvm.import_torch(_module(attention, block), inputs), -1, 1)


def test_recurrent_layers() -> None:
    import torch
    from torch import nn

    def layers(x: Any, h: Any, *m: Any) -> Any:
        both, gru, plain, biased = m
        return both(x), gru(x, h), plain(x), biased(x)

    module = _module(
        layers,
        nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True),
        nn.GRU(6, 5),
        nn.RNN(6, 5, nonlinearity="relu", bias=False),
        nn.RNN(6, 5),
    )
    _assert_agrees(edgetvm.import_torch(module, (torch.rand(4, 2, 6), torch.rand(1, 2, 5))), -1, 1)


def test_a_projected_lstm_is_taken_apart() -> None:
    import torch

    module = torch.nn.LSTM(6, 5, proj_size=3)
    _assert_agrees(edgetvm.import_torch(module, (torch.rand(4, 2, 6),)), -1, 1)


def test_picking_and_placing() -> None:
    import torch
    from torch.nn.functional import grid_sample

    def picked(x: Any, i: Any, grid: Any) -> Any:
        put = x.clone()
        put[:, i] = 0.0
        last = torch.tensor([0, -1])
        return (
            x[:, -1],
            x[..., ::3],
            x[:, last][:, :, last, last],
            x[:, i, :, i],
            put,
            x.unfold(2, 4, 2),
            x.gather(1, i[None, :, None, None].expand(1, 3, 6, 6)),
            torch.zeros(3, 6).scatter_add(0, i[:, None].expand(3, 6), x[0, :3, 0]),
            grid_sample(x, grid, padding_mode="border", align_corners=False),
            torch.roll(x, (1, -2), (2, 3)),
            x.topk(2, dim=1, largest=False)[1],
        )

    inputs = (torch.rand(1, 4, 6, 6), torch.ones(3, dtype=torch.int64), torch.rand(1, 5, 3, 2))
    _assert_agrees(edgetvm.import_torch(_module(picked), inputs), -1.2, 1.2)


def test_arithmetic_in_the_dtypes_of_pytorch() -> None:
    import torch

    def computed(x: Any, i: Any) -> Any:
        return (
            *(i * 0.5, i / 2, i > 0.5, 2**i, x + i, torch.where(i > 0, i, 0.5), i << 1),
            *(torch.add(x, x, alpha=3), torch.rsub(x, i, alpha=2), x.hypot(x)),
            *(torch.div(x, x + 3, rounding_mode="floor"), torch.remainder(x, 0.7)),
            *(x.var(1), x.std(0, correction=0), x.norm(p=3, dim=1), x.logsumexp(1)),
            *(x.amax(1), x.min(1)[1], x.prod(1), (x > 0).any(), (x > 0) == (x < 1)),
            *(x.sum(1, dtype=torch.float64), x.double() @ x.double().T, torch.cat([x, i], 1)),
        )

    inputs = (torch.rand(3, 5), torch.ones(3, 5, dtype=torch.int64))
    _assert_agrees(edgetvm.import_torch(_module(computed), inputs), -2, 2)


def test_fourier_transforms_and_complex_numbers() -> None:
    import torch

    def spectra(x: Any) -> Any:
        window = torch.hann_window(16)
        short = torch.stft(x, 16, 4, window=window, return_complex=True)
        whole = torch.fft.rfft(x, n=40, norm="ortho")
        turned = torch.view_as_complex(x.reshape(1, 8, 4, 2)) * torch.polar(
            torch.ones(4), torch.arange(4.0)
        )
        return (
            *(short.abs().pow(2), torch.view_as_real(short), whole.real, whole.imag),
            *((whole * whole.conj()).real, torch.view_as_real(turned).flatten(1)),
        )

    _assert_agrees(edgetvm.import_torch(_module(spectra), torch.rand(1, 64)), -1, 1)


@pytest.mark.parametrize("form", ["scalar", "real", "scaled"])
def test_complex_numbers_with_real_ones_are_refused(tmp_path: Path, form: str) -> None:
    import torch

    def mixed(x: Any) -> Any:
        spectrum = torch.fft.rfft(x)
        if form == "scalar":
            return torch.view_as_real(spectrum + 1.0)
        if form == "real":
            return torch.view_as_real(spectrum * x[..., :2])
        return torch.view_as_real(torch.add(spectrum, spectrum, alpha=2))

    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(_module(mixed), (torch.rand(2, 2),)), path)
    with pytest.raises(UnsupportedOperatorsError, match="of complex numbers"):
        import_model(path)


def test_a_transform_of_a_whole_recording_is_refused(tmp_path: Path) -> None:
    import torch

    module = _module(lambda x: torch.fft.rfft(x).abs())
    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(module, (torch.rand(1, 5000),)), path)
    with pytest.raises(ModelUnreadableError, match="5000 samples; 4096 are the most"):
        import_model(path)


def test_reading_leaves_the_log_as_it_was(program: Path) -> None:
    import logging

    logging.disable(logging.INFO)
    try:
        import_model(program)
        assert logging.root.manager.disable == logging.INFO
    finally:
        logging.disable(logging.NOTSET)


def test_quantised_programs() -> None:
    import torch
    import torch.ao.quantization.fx._decomposed

    operators = torch.ops.quantized_decomposed

    def quantised(x: Any, linear: Any) -> Any:
        q = operators.quantize_per_tensor(x, 0.02, 3, -128, 127, torch.int8)
        scales, zeros = torch.full((4,), 0.01), torch.zeros(4, dtype=torch.int64)
        w = operators.quantize_per_channel(linear.weight, scales, zeros, 0, -127, 127, torch.int8)
        real = operators.dequantize_per_tensor(q, 0.02, 3, -128, 127, torch.int8)
        weight = operators.dequantize_per_channel(w, scales, zeros, 0, -127, 127, torch.int8)
        return q, torch.nn.functional.linear(real, weight)

    module = _module(quantised, torch.nn.Linear(6, 4))
    _assert_agrees(edgetvm.import_torch(module, torch.rand(3, 6)), -3, 3)


def test_inputs_and_outputs_of_any_structure_have_names() -> None:
    import torch

    module = _module(lambda d, n: {"sum": d["a"] + d["b"], "all": [d["a"] * n, d["a"]]})
    model = edgetvm.import_torch(module, ({"a": torch.rand(2, 3), "b": torch.rand(2, 3)}, 4))
    assert len(model.signature.inputs) == 2  # 4 is a constant of the program
    assert [spec.name for spec in model.signature.outputs] == ["sum", "all.0", "all.1"]
    _assert_agrees(model)


def test_open_axes_are_fixed() -> None:
    import torch

    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=64)
    axes = {"inputs": (({0: batch, 1: length}, {0: batch, 1: 2 * length}),)}
    axes = (axes["inputs"][0],)
    module = _module(lambda x, y: torch.cat([x, y], 1).reshape(x.shape[0] * 2, -1))
    inputs = (torch.rand(3, 4), torch.rand(3, 8))

    def imported(**shapes: tuple[int, ...]) -> Model:
        options = ImportOptions(shapes={f"inputs_{key[1:]}": one for key, one in shapes.items()})
        return edgetvm.import_torch(module, inputs, options, dynamic_shapes=axes)

    model = imported()
    assert [spec.shape for spec in model.signature.inputs] == [(1, 4), (1, 8)]
    assert any("[1, 4]" in change for change in model.provenance.changes)
    model = imported(i0=(2, 6))
    assert [spec.shape for spec in model.signature.inputs] == [(2, 6), (2, 12)]
    _assert_agrees(model)
    with pytest.raises(InputError, match=r"cannot have shape \[2, 13\].*it would be \[2, 12\]"):
        imported(i0=(2, 6), i1=(2, 13))
    with pytest.raises(InputError, match="cannot be 65"):
        imported(i0=(2, 65))


def test_a_bound_input_becomes_a_constant() -> None:
    import torch

    module = _module(lambda x, n: x * n)
    inputs = (torch.rand(2), torch.tensor([1.0]))
    names = [spec.name for spec in edgetvm.import_torch(module, inputs).signature.inputs]
    model = edgetvm.import_torch(module, inputs, ImportOptions(bindings={names[1]: 3}))
    assert [spec.name for spec in model.signature.inputs] == names[:1]
    _assert_agrees(model)


def test_training_mode_is_refused(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "m.pt2"
    for layer in (torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5)):
        training = torch.nn.Sequential(torch.nn.Linear(4, 4), layer).train()
        torch.export.save(torch.export.export(training, (torch.rand(3, 4),)), path)
        with pytest.raises(ModelUnreadableError, match=r"training mode: '1\b.*module.eval\(\)"):
            import_model(path)


def test_a_buffer_that_carries_a_state_is_refused() -> None:
    import torch

    class Counter(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(1))

        def forward(self, x: Any) -> Any:
            self.count.add_(1)  # type: ignore[operator]
            return x + self.count

    with pytest.raises(ModelUnreadableError, match="'count' changes from run to run"):
        edgetvm.import_torch(Counter(), torch.rand(2))


def test_unsupported_operators_are_named_with_their_modules() -> None:
    import torch

    module = torch.nn.Sequential(
        torch.nn.MaxPool2d(2, return_indices=True),
        _module(lambda p: (p[0], p[1], p[0].cummax(1)[0])),
    )
    with pytest.raises(UnsupportedOperatorsError) as caught:
        edgetvm.import_torch(module, torch.rand(1, 2, 4, 4))
    assert "aten.cummax.default (1x: 1)" in str(caught.value)
    assert "aten.max_pool2d_with_indices.default with indices (1x: 0)" in str(caught.value)


def test_a_cut_off_program_is_refused_in_one_sentence(program: Path) -> None:
    program.write_bytes(program.read_bytes()[:2000])
    with pytest.raises(ModelUnreadableError, match="not an exported PyTorch program"):
        import_model(program)


def test_what_only_pytorch_notices_is_one_sentence_too(program: Path) -> None:
    content = program.read_bytes()
    program.write_bytes(content.replace(b'"major": 8', b'"major": 9'))
    with pytest.raises(ModelUnreadableError) as caught:
        import_model(program)
    assert "\n" not in str(caught.value)


def test_an_unknown_input_name_is_told(program: Path) -> None:
    with pytest.raises(InputError, match="no input 'nope'"):
        import_model(program, ImportOptions(shapes={"nope": (1,)}))
