"""L-BFGS: on functions whose minimum is known, against PyTorch's path, and its line search's conditions."""

import numpy as np
import pytest

import wootz
from wootz.optim import LBFGS
from wootz.optim.line_search import Point, strong_wolfe


def rosenbrock(x):
    return ((x[1:] - x[:-1] ** 2) ** 2 * 100 + (1 - x[:-1]) ** 2).sum()


def quadratic(x):
    scale = [1.0, 3.0, 10.0, 30.0]
    return sum(s * (x[i] - i) ** 2 for i, s in enumerate(scale))


def path(library, make, function, steps, **options):
    x = make(np.array([-1.2, 1.0, -0.5, 2.0]))
    x.requires_grad_()
    optimizer = library.LBFGS([x], **options)
    points = []

    def closure():
        optimizer.zero_grad()
        loss = function(x)
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)
        points.append(x.detach().numpy().copy())
    return points


def test_rosenbrocks_valley_is_walked_to_its_end():
    points = path(wootz.optim, wootz.from_numpy, rosenbrock, 12, line_search_fn="strong_wolfe")
    np.testing.assert_allclose(points[-1], np.ones(4), atol=1e-4)


def test_a_quadratic_needs_few_steps():
    points = path(wootz.optim, wootz.from_numpy, quadratic, 2, line_search_fn="strong_wolfe")
    np.testing.assert_allclose(points[-1], np.arange(4), atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"line_search_fn": "strong_wolfe", "max_iter": 5},
        {"line_search_fn": "strong_wolfe", "max_iter": 7, "history_size": 2, "max_eval": 9},
        {"lr": 0.01, "max_iter": 4},
    ],
)
@pytest.mark.parametrize("function", [rosenbrock, quadratic])
def test_the_path_is_pytorchs(function, options):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    ours = path(wootz.optim, wootz.from_numpy, function, 4, **options)
    theirs = path(torch.optim, torch.from_numpy, function, 4, **options)
    np.testing.assert_allclose(ours, theirs, 1e-6, 1e-7)


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 50.0])
def test_a_step_meets_the_strong_wolfe_conditions(first):
    def probe(t):  # x^4 - x + cos(3x), started at 0 along +1
        return Point(t, t**4 - t + np.cos(3 * t), wootz.zeros(1), 4 * t**3 - 1 - 3 * np.sin(3 * t))

    start = probe(0.0)
    calls = []
    found, count = strong_wolfe(lambda t: calls.append(t) or probe(t), start, first, 1.0, 1e-9, 25)
    assert count == len(calls) < 25
    assert found.loss <= start.loss + 1e-4 * found.t * start.slope
    assert abs(found.slope) <= 0.9 * abs(start.slope)


def test_it_goes_on_from_a_saved_state():
    x, y = (wootz.tensor([-1.2, 1.0, -0.5, 2.0], dtype=wootz.float64, requires_grad=True) for _ in range(2))
    options = {"line_search_fn": "strong_wolfe", "max_iter": 3}
    first = LBFGS([x], **options)

    def closure(parameter):
        def loss_of():
            parameter.grad = None
            loss = rosenbrock(parameter)
            loss.backward()
            return loss

        return loss_of

    first.step(closure(x))
    y.detach().copy_(x.detach())
    second = LBFGS([y], **options)
    second.load_state_dict(first.state_dict())
    first.step(closure(x))
    second.step(closure(y))
    assert x.tolist() == y.tolist()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda p: LBFGS([{"params": [p]}, {"params": [wootz.ones(1)]}]), "one parameter group"),
        (lambda p: LBFGS([p], line_search_fn="weak_wolfe"), "line_search_fn"),
        (lambda p: LBFGS([p], history_size=0), "at least 1"),
        (lambda p: LBFGS([p], lr=-1), "at least 0"),
        (lambda p: LBFGS([p]).step(), "needs a closure"),
    ],
)
def test_bad_options_are_refused(make, error):
    with pytest.raises(ValueError, match=error):
        make(wootz.ones(2, requires_grad=True))
