"""Operators of ai.onnx.ml that scikit-learn's pipelines are exported to, trees apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgetvm.models.onnx.emitter import dtype_of, rank_of, shape_of
from edgetvm.models.onnx.node import Converter, Node
from edgetvm.models.onnx.scores import labelled, picked, transformed


def _numbers(node: Node, name: str) -> NDArray[np.float32]:
    return np.asarray(node.attributes.get(name) or [], np.float32)


def _rows(node: Node) -> Any:
    """The data as float32, one row a sample."""
    value = node.emit.cast(node.inputs[0], "float32")
    return node.emit.unsqueeze(value, 0) if rank_of(value) == 1 else value


def _scaler(node: Node) -> Any:
    """(x - offset) * scale."""
    emit, value = node.emit, node.emit.cast(node.inputs[0], "float32")
    shifted = emit.subtract(value, emit.const(_numbers(node, "offset")))
    return emit.multiply(shifted, emit.const(_numbers(node, "scale")))


def _normalizer(node: Node) -> Any:
    """Each row divided by its norm; a row of zeros stays."""
    emit, value = node.emit, _rows(node)
    kind = str(node.attributes.get("norm", "MAX"))
    if kind == "L2":
        squares = emit.emit(emit.operator("sum")(emit.multiply(value, value), 1, keepdims=True))
        norm = emit.unary("sqrt", squares)
    elif kind == "L1":
        norm = emit.emit(emit.operator("sum")(emit.unary("abs", value), 1, keepdims=True))
    elif kind == "MAX":
        norm = emit.emit(emit.operator("max")(value, 1, keepdims=True))
    else:
        raise node.refusal(f"there is no norm {kind!r}")
    zero = emit.equal(norm, emit.like(0, norm))
    return emit.divide(value, emit.where(zero, emit.like(1, norm), norm))


def _imputer(node: Node) -> Any:
    """Numbers in place of the one that stands for a missing value."""
    emit, value = node.emit, node.inputs[0]
    dtype = dtype_of(value)
    name = "float" if dtype.startswith("float") else "int64"
    given = node.attributes.get(f"imputed_value_{name}s")
    if not given:
        raise node.refusal("it has no value for what is missing")
    replaced = node.attributes.get(f"replaced_value_{name}", 0)
    if name == "float" and np.isnan(replaced):
        missing = emit.unary("isnan", value)
    else:
        missing = emit.equal(value, emit.const(replaced, dtype))
    row = np.broadcast_to(np.asarray(given, dtype), shape_of(value)[-1:])
    return emit.where(missing, emit.const(row), value)


def _one_hot_encoder(node: Node) -> Any:
    """A new last axis with a 1 at the category's place, and none for an unknown one."""
    emit, value = node.emit, node.inputs[0]
    categories = node.attributes.get("cats_int64s")
    if not categories:
        raise node.refusal("its categories are strings, which boards do not have")
    if not node.attributes.get("zeros", 1):
        raise node.refusal("it stops at unknown categories (zeros = 0)")
    column = emit.unsqueeze(emit.cast(value, "int64"), rank_of(value))
    hits = emit.equal(column, emit.const(np.asarray(categories, np.int64)))
    return emit.cast(hits, "float32")


def _feature_vectorizer(node: Node) -> Any:
    """The columns of all inputs side by side, each as many as its declared size."""
    emit = node.emit
    parts = []
    sizes = node.attributes.get("inputdimensions") or [None] * len(node.inputs)
    for value, size in zip(node.inputs, sizes, strict=True):
        shape = shape_of(value)
        rows = shape[0] if len(shape) > 1 else 1
        flat = emit.reshape(
            emit.cast(value, "float32"), (rows, int(np.prod(shape, dtype=np.int64)) // rows)
        )
        width = shape_of(flat)[1]
        wanted = width if size is None else int(size)
        if wanted > width:
            missing = emit.const(np.zeros((rows, wanted - width), np.float32))
            flat = emit.concat([flat, missing], 1)
        parts.append(emit.slice(flat, 1, 0, wanted))
    return emit.concat(parts, 1)


def _label_encoder(node: Node) -> Any:
    """Numbers in place of numbers; a default for what is not among the keys."""
    emit, value = node.emit, node.inputs[0]
    keys = _table(node, "keys")
    values = _table(node, "values")
    default = _default(node, values)
    result = emit.broadcast(emit.const(default), shape_of(value))
    # Keys may be NaN, which equals nothing.
    for key, one in zip(keys, values, strict=True):
        nan = keys.dtype.kind == "f" and np.isnan(key)
        hit = (
            emit.unary("isnan", value)
            if nan
            else emit.equal(value, emit.const(key, dtype_of(value)))
        )
        result = emit.where(hit, emit.const(one), result)
    return result


def _table(node: Node, name: str) -> NDArray[Any]:
    from onnx import numpy_helper

    if f"{name}_tensor" in node.attributes:
        array = numpy_helper.to_array(node.attributes[f"{name}_tensor"])
        if array.dtype.kind in "if":
            return array.ravel()
    for kind, dtype in (("int64s", np.int64), ("floats", np.float32)):
        if node.attributes.get(f"{name}_{kind}"):
            return np.asarray(node.attributes[f"{name}_{kind}"], dtype)
    raise node.refusal(f"its {name} are strings, which boards do not have")


def _default(node: Node, values: NDArray[Any]) -> NDArray[Any]:
    from onnx import numpy_helper

    if "default_tensor" in node.attributes:
        return numpy_helper.to_array(node.attributes["default_tensor"]).reshape(())
    name, otherwise = ("int64", -1) if values.dtype.kind == "i" else ("float", -0.0)
    return np.asarray(node.attributes.get(f"default_{name}", otherwise), values.dtype)


def _linear(node: Node, targets: int) -> Any:
    emit, value = node.emit, _rows(node)
    weights = _numbers(node, "coefficients").reshape(targets, -1)
    scores = emit.matmul(value, emit.const(weights.T))
    bias = _numbers(node, "intercepts")
    return emit.add(scores, emit.const(bias)) if bias.size else scores


def _linear_regressor(node: Node) -> Any:
    return transformed(node, _linear(node, int(node.attributes.get("targets", 1))))


def _linear_classifier(node: Node) -> list[Any]:
    labels = labelled(node)
    features = shape_of(_rows(node))[1]
    targets = _numbers(node, "coefficients").size // max(1, features)
    scores = _linear(node, targets)
    if targets == 1 and len(labels) == 2:
        raise node.refusal("two classes with one score", "export it with a score for each class")
    best = node.apply("ArgMax", scores, axis=1, keepdims=0)
    return [picked(node, labels, best), transformed(node, scores)]


def _kernel_products(node: Node, support: NDArray[np.float32]) -> Any:
    """`[rows, support vectors]`: the kernel function of each pair."""
    emit, value = node.emit, _rows(node)
    gamma, coefficient, degree = (
        float(one) for one in node.attributes.get("kernel_params") or (0.0, 0.0, 3.0)
    )
    kind = str(node.attributes.get("kernel_type", "LINEAR"))
    products = emit.matmul(value, emit.const(support.T))
    if kind == "LINEAR":
        return products
    if kind == "RBF":
        # |x - s|^2 = x^2 - 2 x s + s^2
        squares = emit.emit(emit.operator("sum")(emit.multiply(value, value), 1, keepdims=True))
        own = emit.const((support.astype(np.float64) ** 2).sum(1), "float32")
        twice = emit.multiply(products, emit.const(np.float32(2)))
        distance = emit.add(emit.subtract(squares, twice), own)
        return emit.unary("exp", emit.multiply(distance, emit.const(np.float32(-gamma))))
    inner = emit.add(
        emit.multiply(products, emit.const(np.float32(gamma))), emit.const(np.float32(coefficient))
    )
    if kind == "SIGMOID":
        return emit.unary("tanh", inner)
    if kind == "POLY":
        return node.apply("Pow", inner, emit.const(np.float32(degree)))
    raise node.refusal(f"there is no kernel {kind!r}")


def _svm_regressor(node: Node) -> Any:
    emit = node.emit
    count = int(node.attributes.get("n_supports", 0))
    coefficients = _numbers(node, "coefficients")
    if count:
        support = _numbers(node, "support_vectors").reshape(count, -1)
        products = _kernel_products(node, support)
        result = emit.matmul(products, emit.const(coefficients.reshape(count, 1)))
    else:
        result = emit.matmul(_rows(node), emit.const(coefficients.reshape(-1, 1)))
    result = emit.add(result, emit.const(_numbers(node, "rho")[:1]))
    if node.attributes.get("one_class", 0):
        sign = emit.less(emit.const(np.float32(0)), result)
        result = emit.where(sign, emit.const(np.float32(1)), emit.const(np.float32(-1)))
    return transformed(node, result)


def _zip_map(node: Node) -> None:
    raise node.refusal("it makes a dictionary of each row", "export with options={'zipmap': False}")


CLASSICAL: dict[str, Converter] = {
    f"ai.onnx.ml.{name}": converter
    for name, converter in {
        "FeatureVectorizer": _feature_vectorizer,
        "Imputer": _imputer,
        "LabelEncoder": _label_encoder,
        "LinearClassifier": _linear_classifier,
        "LinearRegressor": _linear_regressor,
        "Normalizer": _normalizer,
        "OneHotEncoder": _one_hot_encoder,
        "SVMRegressor": _svm_regressor,
        "Scaler": _scaler,
        "ZipMap": _zip_map,
    }.items()
}
