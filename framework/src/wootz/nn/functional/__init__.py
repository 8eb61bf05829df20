"""The functions behind the layers: no state, PyTorch's names and argument order; a family a file."""

from wootz.nn.functional.activation import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from wootz.nn.functional.dropout import dropout
from wootz.nn.functional.linear import linear
from wootz.nn.functional.loss import (
    binary_cross_entropy_with_logits,
    check_reduction,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
)
from wootz.nn.functional.normalization import layer_norm, rms_norm
from wootz.nn.functional.sparse import embedding, one_hot

__all__ = [
    "binary_cross_entropy_with_logits",
    "check_reduction",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "relu",
    "rms_norm",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
