"""Tensors, automatic differentiation and neural networks, with PyTorch's names and semantics."""

from wootz import _tensor, autograd, ops
from wootz._build import version as __version__
from wootz._core import (
    Tensor, abs, absolute, acos, add, all, amax, amin, any, argmax, argmin, as_strided, asin, atan, atan2,
    bitwise_and, bitwise_not, bitwise_or, bitwise_xor, cat, ceil, clamp, clip, clone, concat, concatenate, cos,
    cosh, count_valid, cross_entropy_rows, diagonal, div, divide, elu, embedding, eq, erf, exp, expand, expm1,
    flatten, flip, floor, floor_divide, gather, ge, get_num_threads, gt, index_add, index_select, isfinite, isinf,
    isnan, le, leaky_relu, lerp, linear, log, log10, log1p, log2, log_softmax, logical_and, logical_not, logical_or,
    logical_xor, logsumexp, lt, masked_fill, matmul, maximum, mean, minimum, mul, multiply, narrow, ne, neg,
    negative, nonzero, permute, pow, prod, reciprocal, relu, remainder, reshape, round, rsqrt, scatter_add, select,
    set_num_threads, sigmoid, sign, silu, sin, sinh, softmax, softplus, sqrt, square, squeeze, stack, sub, subtract,
    sum, sum_to_size, swapaxes, tan, tanh, transpose, tril, triu, true_divide, trunc, unfold, unsqueeze, var, view,
    where,
)  # fmt: skip
from wootz.autograd import (
    enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled,
)  # fmt: skip
from wootz.device import Device
from wootz.device import Device as device
from wootz.dtypes import (
    bool, double, dtype, finfo, float, float32, float64, get_default_dtype, iinfo, int, int8, int16, int32, int64,
    long, promote_types, result_type, set_default_dtype, short, uint8,
)  # fmt: skip
from wootz.ops.composite import (
    addmm, allclose, aminmax, atleast_1d, bmm, broadcast_tensors, chunk, dot, equal, gelu, hstack, isclose, max,
    min, mm, movedim, mv, norm, outer, repeat, split, std, t, tensordot, unbind, vstack,
)  # fmt: skip
from wootz.ops.creation import (
    arange, as_tensor, empty, empty_like, eye, from_numpy, full, full_like, linspace, ones, ones_like, tensor,
    zeros, zeros_like,
)  # fmt: skip
from wootz.ops.random import (
    Generator, bernoulli, initial_seed, manual_seed, normal, rand, rand_like, randint, randn, randn_like, randperm,
)  # fmt: skip

# These build on the names above.
from wootz import cuda, data, nn, optim, serialize, testing  # isort: skip
from wootz.serialize import load, save  # isort: skip

__all__ = [
    "Device", "Generator", "Tensor", "__version__", "abs", "absolute", "acos", "add", "addmm", "all", "allclose",
    "amax", "amin", "aminmax", "any", "arange", "argmax", "argmin", "as_strided", "as_tensor", "asin", "atan",
    "atan2", "atleast_1d", "autograd", "bernoulli", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor",
    "bmm", "bool", "broadcast_tensors", "cat", "ceil", "chunk", "clamp", "clip", "clone", "concat", "concatenate",
    "cos", "cosh", "count_valid", "cuda", "cross_entropy_rows", "data", "device", "diagonal", "div", "divide", "dot", "double",
    "dtype", "elu", "embedding", "empty", "empty_like", "enable_grad", "eq", "equal", "erf", "exp", "expand",
    "expm1", "eye", "finfo", "flatten", "flip", "float", "float32", "float64", "floor", "floor_divide",
    "from_numpy", "full", "full_like", "gather", "ge", "gelu", "get_default_dtype", "get_num_threads", "gt",
    "hstack", "iinfo", "index_add", "index_select", "inference_mode", "initial_seed", "int", "int16", "int32",
    "int64", "int8", "is_grad_enabled", "isclose", "isfinite", "isinf", "isnan", "le", "leaky_relu", "lerp",
    "linear", "linspace", "load", "log", "log10", "log1p", "log2", "log_softmax", "logical_and", "logical_not",
    "logical_or", "logical_xor", "logsumexp", "long", "lt", "manual_seed", "masked_fill", "matmul", "max",
    "maximum", "mean", "min", "minimum", "mm", "movedim", "mul", "multiply", "mv", "narrow", "ne", "neg",
    "negative", "no_grad", "nn", "nonzero", "norm", "normal", "ones", "ones_like", "ops", "optim", "outer", "permute", "pow",
    "prod", "promote_types", "rand", "rand_like", "randint", "randn", "randn_like", "randperm", "reciprocal",
    "relu", "remainder", "repeat", "reshape", "result_type", "round", "rsqrt", "save", "scatter_add", "select", "serialize",
    "set_default_dtype", "set_grad_enabled", "set_num_threads", "short", "sigmoid", "sign", "silu", "sin", "sinh",
    "softmax", "softplus", "split", "sqrt", "square", "squeeze", "stack", "std", "sub", "subtract", "sum",
    "sum_to_size", "swapaxes", "t", "tan", "tanh", "tensor", "tensordot", "testing", "transpose", "tril", "triu",
    "true_divide", "trunc", "uint8", "unbind", "unfold", "unsqueeze", "var", "view", "vstack", "where", "zeros",
    "zeros_like",
]  # fmt: skip
