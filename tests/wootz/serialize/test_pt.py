"""Files that PyTorch itself wrote; needs PyTorch (the attacks on the reader do not)."""

from collections import OrderedDict

import numpy as np
import pytest

import wootz
from wootz import nn
from wootz.errors import CheckpointError
from wootz.serialize import load_pt

torch = pytest.importorskip("torch", reason="PyTorch, which writes these files, is not installed")


INTEGERS = ("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64")


def test_every_dtype_shape_and_layout(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        **{n: torch.from_numpy(rng.integers(0, 99, (2, 3)).astype(n)) for n in INTEGERS},
        "float32": torch.randn(3, 4), "float64": torch.randn(2, dtype=torch.float64),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "transposed": torch.randn(3, 4).T,
        "part": torch.arange(20).reshape(4, 5)[1:3, ::2],
    }  # fmt: skip
    for name in ("float16", "bfloat16", "complex64", "complex128"):
        tensors[name] = torch.randn(2, 3).to(getattr(torch, name))
    torch.save(tensors, tmp_path / "all.pt")
    back = load_pt(tmp_path / "all.pt")
    assert list(back) == list(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype.name == str(tensor.dtype).removeprefix("torch.")
        assert back[name].shape == tuple(tensor.shape) and back[name].stride() == tensor.stride()
        ours, theirs = back[name], tensor
        if name == "bfloat16":
            ours, theirs = ours.float(), theirs.float()
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_structure_and_values_around_the_tensors(tmp_path):
    held = {
        "epoch": 3, "big": 2**70, "lr": 1e-3, "name": "ünï", "flags": [True, None, (1, 2.5)], 7: {"a": ()},
        "size": torch.Size([2, 3]), "ordered": OrderedDict(a=torch.ones(1)), "device": torch.device("cpu"),
    }  # fmt: skip
    torch.save(held, tmp_path / "held.pt")
    back = load_pt(tmp_path / "held.pt")
    assert back["ordered"]["a"].tolist() == [1]
    assert {k: v for k, v in back.items() if k != "ordered"} == {
        **{k: v for k, v in held.items() if k not in ("ordered", "device", "size")}, "size": (2, 3), "device": "cpu",
    }  # fmt: skip


def test_shared_memory_stays_shared_and_parameters_want_gradients(tmp_path):
    whole = torch.arange(6.0)
    wide = torch.from_numpy(np.arange(6, dtype=np.uint32))
    held = {"whole": whole, "part": whole[2:], "p": torch.nn.Parameter(torch.ones(2)), "wide": wide, "few": wide[1::2]}
    torch.save(held, tmp_path / "x.pt")
    back = load_pt(tmp_path / "x.pt")
    back["whole"][3], back["wide"][3] = 100, 100
    assert back["part"].tolist() == [2, 100, 4, 5] and back["few"].tolist() == [1, 100, 5]
    assert back["p"].requires_grad and not back["whole"].requires_grad


def test_a_model_trained_there_computes_the_same_here(tmp_path):
    def build(nn):
        return nn.Sequential(nn.Embedding(7, 4), nn.LSTM(4, 5, batch_first=True))

    theirs, ours = build(torch.nn), build(nn)
    optimizer = torch.optim.Adam(theirs.parameters())
    theirs(torch.tensor([[1, 2, 3]]))[0].sum().backward()
    optimizer.step()
    torch.save({"model": theirs.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "trained.pth")
    back = load_pt(tmp_path / "trained.pth")
    ours.load_state_dict(back["model"])
    tokens = np.array([[0, 5, 6, 1]])
    expected = theirs(torch.from_numpy(tokens))[0].detach().numpy()
    np.testing.assert_allclose(ours(wootz.from_numpy(tokens))[0].detach().numpy(), expected, 1e-5, 1e-6)
    mine = wootz.optim.Adam(ours.parameters())
    mine.load_state_dict(back["optimizer"])
    for model, optim, make in ((theirs, optimizer, torch.from_numpy), (ours, mine, wootz.from_numpy)):
        optim.zero_grad()
        model(make(tokens))[0].sum().backward()
        optim.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), 1e-4, 1e-6)


def test_what_is_no_data_is_refused(tmp_path):
    path = tmp_path / "x.pt"
    for value in (torch.nn.Linear(2, 2), torch.randn(2).expand(3, 2), {(1, 2): 3}, {1, 2}):
        torch.save(value, path)
        with pytest.raises(CheckpointError):
            load_pt(path)
    torch.save(torch.ones(2), path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"before 1\.6"):
        load_pt(path)
