"""Linear algebra of complex matrices: what defines each factorisation, and gradients by finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import wootz
from wootz import linalg
from wootz.autograd import gradcheck, gradgradcheck
from wootz.errors import LinAlgError


def drawn(*shape: int, seed: int = 0) -> wootz.Tensor:
    r = np.random.default_rng(seed)
    return wootz.from_numpy(r.standard_normal(shape) + 1j * r.standard_normal(shape))


def hermitian(x: wootz.Tensor) -> wootz.Tensor:
    return x + x.mH


def definite(x: wootz.Tensor) -> wootz.Tensor:
    return x @ x.mH + wootz.eye(x.shape[-1], dtype=x.dtype)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 2), (2, 2, 4), (5, 1)])
def test_factors_multiply_to_the_matrix(shape: tuple[int, ...]) -> None:
    a = drawn(*shape)
    q, r = linalg.qr(a)
    u, s, vh = linalg.svd(a, full_matrices=False)
    p, lower, upper = linalg.lu(a)
    for product in (q @ r, (u * s.unsqueeze(-2)) @ vh, p @ lower @ upper):
        wootz.testing.assert_close(product, a, rtol=1e-10, atol=1e-12)
    unit = wootz.eye(min(shape[-2:]), dtype=a.dtype)
    wootz.testing.assert_close(q.mH @ q, unit.expand(q.mT.shape[:-1] + unit.shape[-1:]), rtol=0, atol=1e-12)


def test_hermitian_factors() -> None:
    a = hermitian(drawn(2, 3, 3))
    values, v = linalg.eigh(a)
    wootz.testing.assert_close((v * values.unsqueeze(-2)) @ v.mH, a, rtol=1e-10, atol=1e-12)
    b = definite(drawn(2, 3, 3))
    lower = linalg.cholesky(b)
    wootz.testing.assert_close(lower @ lower.mH, b, rtol=1e-10, atol=1e-12)
    wootz.testing.assert_close(linalg.cholesky(b, upper=True), lower.mH, rtol=1e-10, atol=1e-12)


# What does not depend on the phases that eigenvectors and singular vectors leave open.
FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "cholesky": (lambda x: linalg.cholesky(definite(x)), (3, 3)),
    "cholesky_inverse": (lambda x: linalg.cholesky_inverse(linalg.cholesky(definite(x))), (2, 2)),
    "eigvalsh": (lambda x: linalg.eigvalsh(hermitian(x)), (3, 3)),
    "projectors of eigh": (lambda x: (v := linalg.eigh(hermitian(x))[1])[:, :1] @ v[:, :1].mH, (3, 3)),
    "singular values": (lambda x: linalg.svdvals(x), (2, 3)),
    "projectors of svd": (lambda x: (d := linalg.svd(x, False)).U[:, :1] @ d.Vh[:1], (3, 2)),
    "wide projectors of svd": (lambda x: (d := linalg.svd(x, False)).Vh[:1].mH @ d.Vh[:1], (2, 4)),
    "qr": (lambda x: tuple(linalg.qr(x)), (3, 2)),
    "lu": (lambda x: tuple(linalg.lu(x))[1:], (3, 3)),
    "tall lu": (lambda x: tuple(linalg.lu(x))[1:], (4, 2)),
    "wide lu": (lambda x: tuple(linalg.lu(x))[1:], (2, 4)),
    "slogdet": (lambda x: tuple(linalg.slogdet(x)), (3, 3)),
    "logdet": (lambda x: linalg.logdet(x), (3, 3)),
    "lstsq": (lambda x: linalg.lstsq(x, drawn(4, 2, seed=5))[:2], (4, 2)),
    "pinv": (lambda x: linalg.pinv(hermitian(x), hermitian=True), (3, 3)),
    "nuclear norm": (lambda x: linalg.matrix_norm(x, "nuc"), (3, 2)),
    "solve": (lambda x: linalg.solve(x, drawn(3, 2, seed=5)), (3, 3)),
    "cond": (lambda x: linalg.cond(x), (3, 3)),
    "std": (lambda x: wootz.std(x, 0), (3, 2)),
    "logsumexp": (lambda x: wootz.logsumexp(x, (0, 1), True), (3, 2)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_agree_with_finite_differences(name: str) -> None:
    function, shape = FUNCTIONS[name]
    x = drawn(*shape, seed=2).requires_grad_()
    assert gradcheck(function, [x])
    if name not in ("cond", "lstsq"):
        assert gradgradcheck(function, [x])


def test_moments_of_complex_numbers_are_numpys() -> None:
    x = drawn(3, 4)
    np.testing.assert_allclose(wootz.var(x, 0).numpy(), np.var(x.numpy(), 0, ddof=1))
    np.testing.assert_allclose(wootz.std(x).numpy(), np.std(x.numpy(), ddof=1))
    assert wootz.var(x).dtype is wootz.float64
    np.testing.assert_allclose(wootz.logsumexp(x, 1).numpy(), np.log(np.exp(x.numpy()).sum(1)))
    assert wootz.logsumexp(x + 1000, 1).isfinite().all()


def test_the_pivots_of_complex_matrices_are_lapacks() -> None:
    a = wootz.tensor([[3 + 3j, 1], [4.1 + 0j, 1j]])  # 3 + 3i has the greater sum of parts, 4.1 the greater size
    assert linalg.lu_factor(wootz.tensor([[4.5 + 0j, 1], [3 + 3j, 1j]])).pivots.tolist() == [2, 2]
    assert linalg.lu_factor(a).pivots.tolist() == [1, 2]


def test_failures_are_told_for_each_matrix() -> None:
    good = wootz.eye(2, dtype=wootz.float64) * 2
    singular = wootz.tensor([[1.0, 0], [0, 0]], dtype=wootz.float64)
    both = wootz.stack([good, singular])
    inverse, info = linalg.inv_ex(both)
    assert info.tolist() == [0, 2] and inverse[0].tolist() == [[0.5, 0], [0, 0.5]] and inverse[1].isnan().all()
    result, info = linalg.solve_ex(both, wootz.ones(2, 2, dtype=wootz.float64))
    assert info.tolist() == [0, 2] and result[0].tolist() == [0.5, 0.5] and result[1].isnan().all()
    factor, info = linalg.cholesky_ex(both * wootz.tensor([1.0, -1.0], dtype=wootz.float64).reshape(2, 1, 1))
    assert info.tolist() == [0, 1] and factor[1].isnan().all() and not factor[0].isnan().any()
    assert linalg.cholesky_ex(singular)[1].item() == 2
    assert linalg.lu_factor_ex(both).info.tolist() == [0, 2] and linalg.ldl_factor_ex(both).info.tolist() == [0, 2]
    assert wootz.lu(both, get_infos=True)[2].tolist() == [0, 2]
    for call in (linalg.inv_ex, linalg.lu_factor_ex, linalg.ldl_factor_ex, linalg.cholesky_ex):
        with pytest.raises(LinAlgError):
            call(-both, check_errors=True)
    with pytest.raises(LinAlgError):
        wootz.lu(both)


@pytest.mark.parametrize("seed", range(4))
def test_indefinite_matrices_are_solved(seed: int) -> None:
    x, b = drawn(2, 5, 5, seed=seed), drawn(2, 5, 3, seed=9)
    for a, conjugated in ((hermitian(x), True), (x + x.mT, False), (hermitian(x).real.clone(), False)):
        factors, pivots = linalg.ldl_factor(a, hermitian=conjugated)
        right = b if a.dtype.is_complex else b.real.clone()
        solution = linalg.ldl_solve(factors, pivots, right, hermitian=conjugated)
        wootz.testing.assert_close(a @ solution, right, rtol=1e-8, atol=1e-9)


def test_reflectors_are_what_qr_multiplies_out() -> None:
    a = drawn(4, 3)
    packed, tau = wootz.geqrf(a)
    q, r = linalg.qr(a)
    wootz.testing.assert_close(wootz.orgqr(packed, tau), q, rtol=1e-10, atol=1e-12)
    wootz.testing.assert_close(packed.triu()[:3], r, rtol=1e-10, atol=1e-12)
    whole, _ = linalg.qr(a, "complete")
    other = drawn(4, 2, seed=1)
    for left, transpose in ((True, False), (True, True), (False, False), (False, True)):
        factor = whole.mH if transpose else whole
        given = other if left else other.mT
        expected = factor @ given if left else given @ factor
        wootz.testing.assert_close(wootz.ormqr(packed, tau, given, left, transpose), expected, rtol=1e-9, atol=1e-11)


def test_low_rank_is_found_exactly() -> None:
    for shape in ((8, 5), (5, 8)):
        a = drawn(shape[0], 2) @ drawn(2, shape[1], seed=1)
        u, s, v = wootz.svd_lowrank(a, q=3)
        wootz.testing.assert_close((u * s) @ v.mH, a, rtol=1e-9, atol=1e-10)
    x = drawn(9, 3).real.clone()
    _, s, _ = wootz.pca_lowrank(x)
    np.testing.assert_allclose(s.numpy(), np.linalg.svd(x.numpy() - x.numpy().mean(0), compute_uv=False))
    with pytest.raises(ValueError, match="not greater than"):
        wootz.pca_lowrank(x, q=4)


def test_drivers_of_least_squares_differ_in_what_else_they_give() -> None:
    a, b = drawn(4, 2), drawn(4, 1)
    values = np.linalg.svd(a.numpy(), compute_uv=False)
    for driver in ("gelsd", "gelss"):
        found = linalg.lstsq(a, b, driver=driver)
        np.testing.assert_allclose(found.singular_values.numpy(), values)
        assert found.rank.item() == 2
    assert linalg.lstsq(a, b, driver="gels").rank.shape == (0,)
    assert linalg.lstsq(a, b, driver="gelsy").singular_values.shape == (0,)
    np.testing.assert_allclose(
        linalg.lstsq(a, b).solution.numpy(), np.linalg.lstsq(a.numpy(), b.numpy(), rcond=None)[0], rtol=1e-10
    )
    with pytest.raises(ValueError, match="driver is 'gels'"):
        linalg.lstsq(a, b, driver="qr")
