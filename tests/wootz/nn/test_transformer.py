"""Attention and transformer layers against NumPy and against PyTorch where it is installed."""

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.autograd import gradcheck
from wootz.errors import ShapeError

F64 = wootz.float64


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(module, q, k, v, mask=None):
    """[N, L, E] in NumPy: outputs and the weights of each head."""
    w = {name: p.detach().numpy() for name, p in module.named_parameters()}
    pieces = np.split(w["in_proj_weight"], 3), np.split(w["in_proj_bias"], 3)
    q, k, v = (x @ a.T + b for x, a, b in zip((q, k, v), *pieces, strict=True))
    heads = [x.reshape(*x.shape[:2], module.num_heads, -1).swapaxes(1, 2) for x in (q, k, v)]
    scores = heads[0] @ heads[1].swapaxes(-1, -2) / np.sqrt(heads[0].shape[-1])
    weights = softmax(scores if mask is None else np.where(mask, -np.inf, scores))
    joined = (weights @ heads[2]).swapaxes(1, 2).reshape(q.shape)
    return joined @ w["out_proj.weight"].T + w["out_proj.bias"], weights


def test_attention_is_its_formula():
    rng = np.random.default_rng(0)
    module = nn.MultiheadAttention(6, 2, batch_first=True, dtype=F64)
    nn.init.normal_(module.in_proj_bias)
    q, k, v = rng.normal(size=(3, 4, 6)), rng.normal(size=(3, 5, 6)), rng.normal(size=(3, 5, 6))
    mask = rng.random((4, 5)) < 0.3
    mask[:, 0] = False
    tensors = [wootz.from_numpy(x) for x in (q, k, v)]
    out, weights = module(*tensors, attn_mask=wootz.from_numpy(mask))
    expected, each = attention(module, q, k, v, mask)
    np.testing.assert_allclose(out.detach().numpy(), expected, 1e-9, 1e-12)
    np.testing.assert_allclose(weights.detach().numpy(), each.mean(1), 1e-9, 1e-12)
    every = module(*tensors, average_attn_weights=False)[1]
    np.testing.assert_allclose(every.detach().numpy(), attention(module, q, k, v)[1], 1e-9, 1e-12)
    assert module(*tensors, need_weights=False)[1] is None
    single = module(*(x[1] for x in tensors), attn_mask=wootz.from_numpy(mask))
    np.testing.assert_allclose(single[0].detach().numpy(), expected[1], 1e-9, 1e-12)
    assert gradcheck(lambda q: module(q, *tensors[1:])[0], (tensors[0].requires_grad_(),))


ATTENTIONS = [
    {},
    {"bias": False, "add_zero_attn": True},
    {"kdim": 3, "vdim": 5, "add_bias_kv": True},
    {"batch_first": True, "add_bias_kv": True, "add_zero_attn": True},
]
MASKS = ["none", "float", "each head", "padding", "both"]


def masks(kind, library, heads=2):
    rng = np.random.default_rng(9)
    found = {}
    if kind in ("float", "both"):
        found["attn_mask"] = library.from_numpy(rng.normal(size=(4, 5)))
    if kind == "each head":
        hidden = rng.random((3 * heads, 4, 5)) < 0.4
        hidden[..., 0] = False
        found["attn_mask"] = library.from_numpy(hidden)
    if kind in ("padding", "both"):
        hidden = np.zeros((3, 5), bool)
        hidden[1, 3:] = hidden[2, 1:] = True
        if kind == "both":
            found["key_padding_mask"] = library.from_numpy(np.where(hidden, -np.inf, 0.0))
        else:
            found["key_padding_mask"] = library.from_numpy(hidden)
    return found


@pytest.mark.parametrize("options", ATTENTIONS)
@pytest.mark.parametrize("mask", MASKS)
def test_attention_is_pytorchs(options, mask):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    rng = np.random.default_rng(3)
    theirs = torch.nn.MultiheadAttention(6, 2, dtype=torch.float64, **options)
    ours = nn.MultiheadAttention(6, 2, dtype=F64, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: wootz.from_numpy(v.numpy().copy()) for k, v in theirs.state_dict().items()})
    arrays = [rng.normal(size=(n, 3, size)) for n, size in ((4, 6), (5, ours.kdim), (5, ours.vdim))]
    if options.get("batch_first"):
        arrays = [x.swapaxes(0, 1).copy() for x in arrays]
    sides = []
    for library, module in ((wootz, ours), (torch, theirs)):
        q, k, v = (library.from_numpy(x.copy()).requires_grad_() for x in arrays)
        out, weights = module(q, k, v, **masks(mask, library))
        (out**2).sum().backward()
        sides.append([out.detach(), weights.detach(), q.grad, k.grad, v.grad])
    for a, b in zip(*sides, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-8, 1e-10)


LAYERS = [
    {},
    {"norm_first": True, "batch_first": True, "activation": "gelu"},
    {"bias": False, "layer_norm_eps": 1e-3},
]


def copied(ours, theirs):
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: wootz.from_numpy(v.numpy().copy()) for k, v in theirs.state_dict().items()})


@pytest.mark.parametrize("options", LAYERS)
def test_whole_transformers_are_pytorchs(options):
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle here, is not installed")
    sizes = {"d_model": 8, "nhead": 2, "num_encoder_layers": 2, "num_decoder_layers": 2, "dim_feedforward": 12}
    torch.manual_seed(0)
    theirs = torch.nn.Transformer(**sizes, dropout=0.0, dtype=torch.float64, **options)
    ours = nn.Transformer(**sizes, dropout=0.0, dtype=F64, **options)
    copied(ours, theirs)
    rng = np.random.default_rng(5)
    src, tgt = rng.normal(size=(3, 5, 8)), rng.normal(size=(3, 4, 8))
    if not options.get("batch_first"):
        src, tgt = src.swapaxes(0, 1).copy(), tgt.swapaxes(0, 1).copy()
    padding = np.zeros((3, 5), bool)
    padding[1, 3:] = True
    sides = []
    for library, model in ((wootz, ours), (torch, theirs)):
        x = library.from_numpy(src.copy()).requires_grad_()
        hidden = library.from_numpy(padding)
        causal = library.nn.Transformer.generate_square_subsequent_mask(4, dtype=library.float64)
        out = model(
            x, library.from_numpy(tgt), tgt_mask=causal, src_key_padding_mask=hidden, memory_key_padding_mask=hidden
        )
        (out**2).sum().backward()
        grads = {name: p.grad for name, p in model.named_parameters()}
        sides.append([out.detach(), x.grad, *(grads[name] for name in sorted(grads))])
    for a, b in zip(*sides, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-7, 1e-9)


def test_an_encoder_layer_is_its_formula():
    for first in (False, True):
        layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, norm_first=first, batch_first=True, dtype=F64)
        x = np.random.default_rng(6).normal(size=(2, 4, 6))
        w = {name: p.detach().numpy() for name, p in layer.named_parameters()}

        def norm(x, n, w=w):
            centred = x - x.mean(-1, keepdims=True)
            scale = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
            return centred / scale * w[f"norm{n}.weight"] + w[f"norm{n}.bias"]

        def feed(x, w=w):
            hidden = np.maximum(x @ w["linear1.weight"].T + w["linear1.bias"], 0)
            return hidden @ w["linear2.weight"].T + w["linear2.bias"]

        def attend(x, layer=layer):
            return attention(layer.self_attn, x, x, x)[0]

        if first:
            expected = x + attend(norm(x, 1))
            expected = expected + feed(norm(expected, 2))
        else:
            expected = norm(x + attend(x), 1)
            expected = norm(expected + feed(expected), 2)
        np.testing.assert_allclose(layer(wootz.from_numpy(x)).detach().numpy(), expected, 1e-9, 1e-11)


def test_a_causal_mask_hides_the_future():
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    assert mask.tolist() == [[0, -np.inf, -np.inf], [0, 0, -np.inf], [0, 0, 0]]
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0), 2, nn.LayerNorm(4))
    x = wootz.randn(3, 1, 4)
    before = encoder(x, mask)
    x[2] = 100.0
    after = encoder(x, mask)
    assert before[:2].tolist() == after[:2].tolist() and before[2].tolist() != after[2].tolist()


@pytest.mark.parametrize(
    "make",
    [
        lambda x: nn.MultiheadAttention(6, 4),
        lambda x: nn.MultiheadAttention(6, 2)(x, x[..., :3], x),
        lambda x: nn.MultiheadAttention(6, 2)(x, x, x, attn_mask=wootz.zeros(3, 3)),
        lambda x: nn.MultiheadAttention(6, 2)(x, x, x, key_padding_mask=wootz.zeros(4, 2)),
        lambda x: nn.MultiheadAttention(6, 2)(x, x, x, is_causal=True),
        lambda x: nn.TransformerEncoderLayer(6, 2, activation="sine"),
    ],
)
def test_what_does_not_fit_is_refused(make):
    with pytest.raises((ValueError, ShapeError)):
        make(wootz.ones(4, 2, 6))
