"""Functions of functions: derivatives and vectorisation that compose. Names and semantics follow ``torch.func``."""

from wootz.func import rules as _rules  # noqa: F401  # tells the core how ops run on batched tensors
from wootz.func.modules import functional_call, stack_module_state
from wootz.func.transforms import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, vjp
from wootz.func.vectorize import vmap

__all__ = [
    "functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "stack_module_state", "vjp",
    "vmap",
]  # fmt: skip
