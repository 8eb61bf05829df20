"""Losses and distances against NumPy in float64, derivatives by gradcheck, and PyTorch where it is installed."""

import itertools
import math

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.autograd import gradcheck
from wootz.nn import functional as F

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(4, 5)), RNG.normal(size=(4, 5))
P = RNG.uniform(0.05, 0.95, size=(4, 5))
SIGN = np.where(RNG.normal(size=(4, 5)) > 0, 1.0, -1.0)
ROWS = np.array([1.0, -1.0, 1.0, -1.0])
LABELS = np.array([2, 0, 4, 1])
SETS = np.array([[3, 0, -1, 1, 2], [1, -1, 0, 0, 0], [-1, 2, 1, 0, 3], [0, 1, 2, 3, 4]])
W = np.array([0.5, 2.0, 1.0, 0.1, 3.0])
Z = X + SIGN * 2  # nothing near a kink
LOGP = X - np.log(np.exp(X).sum(1, keepdims=True))
SOFT = P / P.sum(1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def bce(x, t, weight=1.0, pos=1.0):
    return -weight * (pos * t * np.log(x) + (1 - t) * np.log(1 - x))


def cosine(a, b, axis=1):
    return (a * b).sum(axis) / np.sqrt((a * a).sum(axis) * (b * b).sum(axis))


def distance(a, b, p=2.0):
    return (np.abs(a - b + 1e-6) ** p).sum(-1) ** (1 / p)


def smooth(beta):
    return lambda x, y: np.where(abs(x - y) < beta, (x - y) ** 2 / 2 / (beta or 1), abs(x - y) - beta / 2)


def sets_loss(x, sets):
    losses = []
    for row, labels in zip(x, sets, strict=True):
        own = list(itertools.takewhile(lambda i: i >= 0, labels))
        losses.append(sum(max(0, 1 - row[i] + row[j]) for i in own for j in set(range(len(row))) - set(own)) / len(row))
    return np.array(losses)


def multi(x, labels, p=1, margin=1.0, weight=None):
    rows = []
    for row, i in zip(x, labels, strict=True):
        gaps = [max(0, margin - row[i] + row[j]) ** p for j in range(len(row)) if j != i]
        rows.append(sum(gaps) * (1 if weight is None else weight[i]) / len(row))
    return np.array(rows)


# name in functional: (arguments, options, what each element is)
CASES = {
    "mse_loss": [((X, Y), {}, lambda x, y: (x - y) ** 2)],
    "l1_loss": [((X, Y), {}, lambda x, y: abs(x - y))],
    "smooth_l1_loss": [
        ((X, Y), {"beta": b}, smooth(b))
        for b in (1.0, 0.3, 0.0)
    ],
    "huber_loss": [
        ((X, Y), {"delta": d}, lambda x, y, d=d: np.where(abs(x - y) < d, (x - y) ** 2 / 2, d * (abs(x - y) - d / 2)))
        for d in (1.0, 0.3)
    ],
    "kl_div": [
        ((LOGP, SOFT), {}, lambda x, y: y * (np.log(y) - x)),
        ((LOGP, np.log(SOFT)), {"log_target": True}, lambda x, y: np.exp(y) * (y - x)),
    ],
    "poisson_nll_loss": [
        ((X, P * 9), {}, lambda x, y: np.exp(x) - y * x),
        ((P, P * 9), {"log_input": False}, lambda x, y: x - y * np.log(x + 1e-8)),
        (
            (X, P * 9),
            {"full": True},
            lambda x, y: np.exp(x) - y * x + np.where(y > 1, y * np.log(y) - y + np.log(2 * math.pi * y) / 2, 0),
        ),
    ],
    "gaussian_nll_loss": [
        ((X, Y, P), {}, lambda x, y, v: (np.log(v) + (x - y) ** 2 / v) / 2),
        ((X, Y, P[:, :1]), {"full": True}, lambda x, y, v: (np.log(2 * math.pi * v) + (x - y) ** 2 / v) / 2),
        ((X, Y, P[:, 0]), {}, lambda x, y, v: (np.log(v[:, None]) + (x - y) ** 2 / v[:, None]) / 2),
    ],
    "binary_cross_entropy": [
        ((P, SOFT), {}, bce),
        ((P, SOFT), {"weight": W}, lambda x, t: bce(x, t, W)),
    ],
    "binary_cross_entropy_with_logits": [
        ((X, SOFT), {}, lambda x, t: bce(sigmoid(x), t)),
        ((X, SOFT), {"weight": W, "pos_weight": W[::-1].copy()}, lambda x, t: bce(sigmoid(x), t, W, W[::-1])),
    ],
    "hinge_embedding_loss": [
        ((Z, SIGN), {"margin": 1.5}, lambda x, t: np.where(t == 1, x, np.maximum(0, 1.5 - x))),
    ],
    "margin_ranking_loss": [
        ((Z, Y, SIGN), {"margin": 0.5}, lambda a, b, t: np.maximum(0, 0.5 - t * (a - b))),
    ],
    "soft_margin_loss": [((X, SIGN), {}, lambda x, t: np.log1p(np.exp(-t * x)))],
    "multilabel_soft_margin_loss": [
        ((X, (SIGN + 1) / 2), {}, lambda x, t: bce(sigmoid(x), t).mean(1)),
        ((X, (SIGN + 1) / 2), {"weight": W}, lambda x, t: bce(sigmoid(x), t, W).mean(1)),
    ],
    "cosine_embedding_loss": [
        (
            (X, Y, ROWS),
            {"margin": -0.3},
            lambda a, b, t: np.where(t == 1, 1 - cosine(a, b), np.maximum(0, cosine(a, b) + 0.3)),
        ),
    ],
    "triplet_margin_loss": [
        ((X, Y, Z), {}, lambda a, p, n: np.maximum(0, distance(a, p) - distance(a, n) + 1)),
        (
            (X, Y, Z),
            {"margin": 3.0, "p": 3.0, "swap": True},
            lambda a, p, n: np.maximum(
                0, distance(a, p, 3) - np.minimum(distance(a, n, 3), distance(p, n, 3)) + 3
            ),
        ),
    ],
    "multi_margin_loss": [
        ((X, LABELS), {}, multi),
        ((X, LABELS), {"p": 2, "margin": 0.7, "weight": W}, lambda x, t: multi(x, t, 2, 0.7, W)),
    ],
    "multilabel_margin_loss": [((X, SETS), {}, sets_loss)],
    "cross_entropy": [
        ((X, SOFT), {}, lambda x, t: -(LOGP * t).sum(1)),
        ((X, SOFT), {"weight": W, "label_smoothing": 0.2}, lambda x, t: -(LOGP * W * (t * 0.8 + 0.04)).sum(1)),
    ],
}  # fmt: skip
EVERY = [(name, i) for name, cases in CASES.items() for i in range(len(cases))]
REDUCTIONS = {"none": lambda x: x, "sum": np.sum, "mean": np.mean}


def converted(value, make):
    return make(value.copy()) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_values_and_derivatives(name, case):
    arguments, options, reference = CASES[name][case]
    tensors = [wootz.from_numpy(a.copy()) for a in arguments]
    options = {k: converted(v, wootz.from_numpy) for k, v in options.items()}
    for reduction, reduce in REDUCTIONS.items():
        got = getattr(F, name)(*tensors, **options, reduction=reduction)
        np.testing.assert_allclose(got.numpy(), reduce(reference(*arguments)), 1e-6, 1e-9)
    tensors[0].requires_grad_()
    assert gradcheck(lambda x: getattr(F, name)(x, *tensors[1:], **options), (tensors[0],))


@pytest.mark.parametrize(("name", "case"), EVERY)
def test_agreement_with_pytorch(name, case):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    arguments, options, _ = CASES[name][case]
    results = []
    for library, make in ((wootz, wootz.from_numpy), (torch, torch.from_numpy)):
        tensors = [make(a.copy()) for a in arguments]
        tensors[0].requires_grad_()
        loss = getattr(library.nn.functional, name)(*tensors, **{k: converted(v, make) for k, v in options.items()})
        loss.backward()
        results.append((loss.detach().numpy(), tensors[0].grad.numpy()))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-9, 1e-9)


MODULES = {
    "BCELoss": ({}, (P, SOFT)), "SmoothL1Loss": ({"beta": 0.5}, (X, Y)), "HuberLoss": ({"delta": 0.5}, (X, Y)),
    "KLDivLoss": ({"reduction": "batchmean"}, (LOGP, SOFT)), "PoissonNLLLoss": ({"full": True}, (X, P)),
    "GaussianNLLLoss": ({"full": True}, (X, Y, P)), "HingeEmbeddingLoss": ({"margin": 2.0}, (Z, SIGN)),
    "MarginRankingLoss": ({"margin": 0.1}, (X, Y, SIGN)), "CosineEmbeddingLoss": ({"margin": 0.1}, (X, Y, ROWS)),
    "SoftMarginLoss": ({}, (X, SIGN)), "MultiMarginLoss": ({"p": 2}, (X, LABELS)),
    "MultiLabelMarginLoss": ({}, (X, SETS)), "MultiLabelSoftMarginLoss": ({}, (X, (SIGN + 1) / 2)),
    "TripletMarginLoss": ({"swap": True}, (X, Y, Z)), "TripletMarginWithDistanceLoss": ({"margin": 2.0}, (X, Y, Z)),
    "MSELoss": ({"reduction": "sum"}, (X, Y)), "L1Loss": ({}, (X, Y)), "BCEWithLogitsLoss": ({}, (X, SOFT)),
    "CrossEntropyLoss": ({"label_smoothing": 0.1}, (X, LABELS)), "NLLLoss": ({"reduction": "sum"}, (LOGP, LABELS)),
    "CosineSimilarity": ({"dim": 0}, (X, Y)), "PairwiseDistance": ({"p": 1.0, "keepdim": True}, (X, Y)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_pytorchs(name):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    options, arguments = MODULES[name]
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    got, expected = ours(*map(wootz.from_numpy, arguments)), theirs(*map(torch.from_numpy, arguments))
    np.testing.assert_allclose(got.numpy(), expected.numpy(), 1e-9, 1e-9)


def test_a_loss_of_one_sample_without_a_batch():
    for name, t in (("multi_margin_loss", np.array(2)), ("multilabel_margin_loss", SETS[0])):
        got = getattr(F, name)(wootz.from_numpy(X[0]), wootz.from_numpy(np.asarray(t)), reduction="none")
        whole = getattr(F, name)(wootz.from_numpy(X[:1]), wootz.from_numpy(np.asarray(t)[None]), reduction="none")
        assert got.shape == () and got.item() == whole.item()


def test_similarity_of_nothing_is_zero_and_normalising_it_stays_finite():
    x = wootz.zeros(2, 3, dtype=wootz.float64, requires_grad=True)
    assert F.cosine_similarity(x, x).tolist() == [0, 0]
    F.normalize(x).sum().backward()
    assert wootz.isfinite(x.grad).all().item()
    y = wootz.from_numpy(X)
    np.testing.assert_allclose(F.normalize(y).numpy(), X / np.sqrt((X * X).sum(1, keepdims=True)))
    np.testing.assert_allclose(F.normalize(y, p=1, dim=0).numpy(), X / abs(X).sum(0))


def collapse(path, blank):
    return [k for k, _ in itertools.groupby(path) if k != blank]


def brute_force(log_p, labels, blank):
    """The loss by adding up every path."""
    total = 0.0
    for path in itertools.product(range(log_p.shape[1]), repeat=len(log_p)):
        if collapse(path, blank) == list(labels):
            total += np.exp(sum(log_p[t, k] for t, k in enumerate(path)))
    return -np.log(total) if total else np.inf


@pytest.mark.parametrize("blank", [0, 2])
def test_ctc_adds_up_every_path(blank):
    rng = np.random.default_rng(blank)
    logits = rng.normal(size=(5, 4, 3))
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    one, two = [k for k in range(3) if k != blank]
    labels = [[one, two, one], [two, two, 0], [0, 0, 0], [one, one, one]]
    lengths, sizes = [5, 4, 3, 4], [3, 2, 0, 3]
    expected = [
        brute_force(log_p[:n, i], labels[i][:k], blank) for i, (n, k) in enumerate(zip(lengths, sizes, strict=True))
    ]
    assert np.isinf(expected[3])  # three equal labels need five steps
    targets = wootz.tensor(labels)
    options = {"blank": blank, "reduction": "none"}
    got = F.ctc_loss(wootz.from_numpy(log_p), targets, lengths, sizes, **options)
    np.testing.assert_allclose(got.numpy(), expected, 1e-9)
    finite = F.ctc_loss(wootz.from_numpy(log_p), targets, lengths, sizes, zero_infinity=True, **options)
    np.testing.assert_allclose(finite.numpy(), [*expected[:3], 0])
    flat = wootz.tensor([k for row, n in zip(labels, sizes, strict=True) for k in row[:n]])
    np.testing.assert_allclose(F.ctc_loss(wootz.from_numpy(log_p), flat, lengths, sizes, **options).numpy(), expected)
    single = nn.CTCLoss(blank=blank)(wootz.from_numpy(log_p[:, 0]), targets[0], [5], [3])
    np.testing.assert_allclose(single.item(), expected[0] / 3)

    def loss(x):
        return F.ctc_loss(x.log_softmax(-1), targets, lengths, sizes, blank=blank, zero_infinity=True)

    assert gradcheck(loss, (wootz.from_numpy(logits).requires_grad_(),))


def test_ctc_agrees_with_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(size=(12, 3, 6)), rng.integers(1, 6, size=(3, 5))
    results = []
    for library in (wootz, torch):
        x = library.from_numpy(logits.copy()).requires_grad_()
        lengths, sizes = library.tensor([12, 9, 11]), library.tensor([5, 2, 4])
        loss = library.nn.CTCLoss()(x.log_softmax(-1), library.from_numpy(labels), lengths, sizes)
        loss.backward()
        results.append((loss.item(), x.grad.numpy()))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-9, 1e-12)


def tensors(*arrays):
    return [wootz.from_numpy(np.asarray(a)) for a in arrays]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: F.binary_cross_entropy(*tensors(X * 9, SOFT)), "probabilities"),
        (lambda: F.binary_cross_entropy(*tensors(P * np.nan, SOFT)), "probabilities"),
        (lambda: F.huber_loss(*tensors(X, Y), delta=0), "delta"),
        (lambda: F.smooth_l1_loss(*tensors(X, Y), beta=-1), "beta"),
        (lambda: F.kl_div(*tensors(X, Y), reduction="mode"), "reduction"),
        (lambda: F.gaussian_nll_loss(*tensors(X, Y, -P)), "negative"),
        (lambda: F.gaussian_nll_loss(*tensors(X, Y, P[:2])), "does not fit"),
        (lambda: F.cosine_embedding_loss(*tensors(X, Y, ROWS[:2])), "targets"),
        (lambda: F.triplet_margin_loss(*tensors(X, Y, Z), margin=0), "margin"),
        (lambda: F.multi_margin_loss(*tensors(X, LABELS), p=3), "p is"),
        (lambda: F.multi_margin_loss(*tensors(X, LABELS[:2])), "do not fit"),
        (lambda: F.multilabel_margin_loss(*tensors(X, SETS[:, :2])), "do not fit"),
        (lambda: F.mse_loss(*tensors(X, Y[0])), "differ in shape"),
        (lambda: nn.HuberLoss("average"), "reduction"),
        (lambda: F.ctc_loss(*tensors(X[:, None], LABELS[None]), [5], [2]), "input_lengths"),
        (lambda: F.ctc_loss(*tensors(X[:, None], LABELS[None]), [4], [5]), "target_lengths"),
        (lambda: F.ctc_loss(*tensors(X[:, None], LABELS[None] + 3), [4], [2]), "labels are in"),
        (lambda: F.ctc_loss(*tensors(X[:, None], LABELS[None]), [4, 4], [2]), "lengths for a batch"),
        (lambda: F.ctc_loss(*tensors(X[:, None], LABELS[None]), [4], [2], blank=5), "blank"),
        (lambda: F.ctc_loss(*tensors(RNG.normal(size=(4, 2, 5)), LABELS), [4, 4], [2, 1]), "sum to 3"),
    ],
)  # fmt: skip
def test_bad_inputs_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
