"""Help for training: gradients' sizes, parameters as one vector, parametrisations, sequences of different lengths."""

from wootz.nn.utils import parametrizations, parametrize, rnn
from wootz.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from wootz.nn.utils.vector import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm", "parameters_to_vector",
    "parametrizations", "parametrize", "rnn", "vector_to_parameters",
]  # fmt: skip
