"""torch.linalg's names: systems, factorisations, eigenvalues, norms; all differentiable, over batches of matrices.

A singular matrix, or one that is not positive definite, raises `LinAlgError` where the function needs it not to be.
"""

from wootz.errors import LinAlgError
from wootz.linalg.factorisation import cholesky, cholesky_ex, lu, lu_factor, lu_factor_ex, lu_solve, qr
from wootz.linalg.function import diagonal, matmul, matrix_exp, matrix_power, multi_dot, vander, vecdot
from wootz.linalg.indefinite import ldl_factor, ldl_factor_ex, ldl_solve
from wootz.linalg.norms import cond, cross, matrix_norm, matrix_rank, norm, vector_norm
from wootz.linalg.reflectors import householder_product
from wootz.linalg.spectrum import eig, eigh, eigvals, eigvalsh, pinv, svd, svdvals
from wootz.linalg.system import (
    cholesky_inverse,
    cholesky_solve,
    det,
    inv,
    inv_ex,
    logdet,
    lstsq,
    slogdet,
    solve,
    solve_ex,
    solve_triangular,
    tensorinv,
    tensorsolve,
)

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cholesky_inverse", "cholesky_solve", "cond", "cross", "det", "diagonal",
    "eig", "eigh", "eigvals", "eigvalsh", "householder_product", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex",
    "ldl_solve", "logdet", "lstsq", "lu", "lu_factor", "lu_factor_ex", "lu_solve",
    "matmul", "matrix_exp", "matrix_norm", "matrix_power",
    "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_ex",
    "solve_triangular", "svd", "svdvals", "tensorinv", "tensorsolve", "vander", "vecdot", "vector_norm",
]  # fmt: skip
