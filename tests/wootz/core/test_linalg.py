"""Linear algebra: what defines each factorisation, higher derivatives of singular cases, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wootz
from wootz import linalg
from wootz.autograd import gradcheck
from wootz.errors import DTypeError, LinAlgError, ShapeError


def drawn(*shape: int, seed: int = 0) -> wootz.Tensor:
    return wootz.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 2), (2, 2, 4), (5, 1), (0, 3, 3)])
def test_factors_multiply_to_the_matrix(shape: tuple[int, ...]) -> None:
    a = drawn(*shape)
    q, r = linalg.qr(a)
    u, s, vh = linalg.svd(a, full_matrices=False)
    p, lower, upper = linalg.lu(a)
    for product in (q @ r, (u * s.unsqueeze(-2)) @ vh, p @ lower @ upper):
        wootz.testing.assert_close(product, a, rtol=1e-10, atol=1e-12)
    k = min(shape[-2:])
    wootz.testing.assert_close(q.mT @ q, wootz.eye(k, dtype=a.dtype).expand((*shape[:-2], k, k)), rtol=0, atol=1e-12)
    assert bool((lower.abs() <= 1 + 1e-12).all()) and bool((wootz.triu(lower, 1) == 0).all())


def test_lu_solves_from_both_sides() -> None:
    a, b = drawn(2, 3, 3), drawn(2, 3, 2, seed=1)
    factors = linalg.lu_factor(a)
    wootz.testing.assert_close(a @ linalg.lu_solve(*factors, b), b, rtol=1e-9, atol=1e-10)
    wootz.testing.assert_close(linalg.lu_solve(*factors, b.mT, left=False) @ a, b.mT, rtol=1e-9, atol=1e-10)
    assert gradcheck(lambda x: linalg.lu(x)[1:], [a.requires_grad_()])


def test_the_determinant_of_a_singular_matrix_has_its_cofactors_as_gradient() -> None:
    values = [[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 1.0, 5.0]]
    a = wootz.tensor(values, dtype=wootz.float64, requires_grad=True)
    a.det().backward()
    assert a.grad is not None
    expected = np.empty((3, 3))
    for i, j in np.ndindex(3, 3):
        minor = np.delete(np.delete(np.array(values), i, 0), j, 1)
        expected[i, j] = (-1) ** (i + j) * np.linalg.det(minor)
    np.testing.assert_allclose(a.grad.numpy(), expected, atol=1e-12)


def test_the_norm_of_zeros_has_gradient_zero() -> None:
    x = wootz.zeros(3, dtype=wootz.float64, requires_grad=True)
    (x.norm() + linalg.vector_norm(x, 3)).backward()
    assert x.grad is not None and x.grad.tolist() == [0, 0, 0]


def test_a_matrix_exponential_of_many_sizes() -> None:
    for scale in (1e-8, 1.0, 50.0):
        a = drawn(4, 4) * scale
        a = (a - a.mT) / 2  # then the exponential is a rotation
        e = linalg.matrix_exp(a)
        wootz.testing.assert_close(e @ e.mT, wootz.eye(4, dtype=a.dtype), rtol=0, atol=1e-11)
        half = linalg.matrix_exp(a / 2)
        wootz.testing.assert_close(half @ half, e, rtol=0, atol=1e-11)


def test_einsum_takes_lists_and_orders_contractions() -> None:
    a, b, c = drawn(3, 4), drawn(4, 5, seed=1), drawn(5, 2, seed=2)
    expected = np.einsum("ij,jk,kl->il", a.numpy(), b.numpy(), c.numpy())
    np.testing.assert_allclose(wootz.einsum(a, [0, 1], b, [1, 2], c, [2, 3], [0, 3]).numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(wootz.einsum(a, [..., 0], b, [0, 1]).numpy(), (a @ b).numpy(), rtol=1e-12)


def test_einsum_never_makes_the_whole_product() -> None:
    """Left to right, the first product of this chain has 10**12 elements."""
    a, b, c = drawn(1_000_000), drawn(1_000_000, seed=1), drawn(1_000_000, seed=2)
    found = wootz.einsum("i,j,i->j", a, b, c)
    np.testing.assert_allclose(found.numpy(), np.sum(a.numpy() * c.numpy()) * b.numpy(), rtol=1e-9)


SINGULAR = wootz.zeros(3, 3, dtype=wootz.float64)
REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: linalg.inv(SINGULAR), LinAlgError, "linalg.inv: The input matrix is singular"),
    (lambda: linalg.solve(SINGULAR, wootz.ones(3, dtype=wootz.float64)), LinAlgError, "singular"),
    (lambda: linalg.cholesky(-wootz.eye(2)), LinAlgError, "not positive-definite"),
    (lambda: linalg.cholesky_ex(-wootz.eye(2), check_errors=True), LinAlgError, "not positive-definite"),
    (lambda: linalg.inv(wootz.ones(2, 3)), ShapeError, "square"),
    (lambda: linalg.det(wootz.ones(3)), ShapeError, "at least 2 dimensions"),
    (lambda: linalg.inv(wootz.ones(2, 2, dtype=wootz.int64)), DTypeError, "floating point"),
    (lambda: linalg.solve(wootz.eye(3), wootz.ones(2, 1)), ShapeError, "Incompatible shapes"),
    (lambda: linalg.solve(wootz.eye(3), wootz.ones(3, 1, dtype=wootz.float64)), DTypeError, "one dtype"),
    (lambda: linalg.matrix_norm(wootz.eye(3), 3), ValueError, "Order 3"),
    (lambda: linalg.eigh(wootz.eye(3), "X"), ValueError, "UPLO"),
    (lambda: linalg.qr(wootz.eye(3), "full"), ValueError, "mode"),
    (lambda: linalg.svd(wootz.tensor([[float("nan")]])), LinAlgError, "converge"),
    (lambda: linalg.multi_dot([wootz.ones(2, 3), wootz.ones(2, 3)]), ShapeError, "multiplied"),
    (lambda: wootz.einsum("ij,jk", wootz.ones(2, 3), wootz.ones(2, 3)), ShapeError, "'j' has size"),
    (lambda: wootz.einsum("ij->x", wootz.ones(2, 3)), ValueError, "output subscripts"),
    (lambda: wootz.einsum("ij", wootz.ones(3)), ShapeError, "number of subscripts"),
    (lambda: wootz.einsum("ii", wootz.ones(2, 3)), ShapeError, "repeated"),
    (lambda: wootz.cdist(wootz.ones(2, 3), wootz.ones(2, 2)), ShapeError, "cdist"),
    (lambda: wootz.cross(wootz.ones(2, 2), wootz.ones(2, 2)), ShapeError, "length 3"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_bad_arguments_are_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_matrix_that_is_not_positive_definite_is_told_without_raising() -> None:
    factor, info = linalg.cholesky_ex(-wootz.eye(2))
    assert info.item() == 1 and bool(factor.isnan().all())
