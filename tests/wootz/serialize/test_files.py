"""Weights to a file and back, atomically, and read by another program."""

import os
import stat

import numpy as np
import pytest
import safetensors.numpy

import wootz
from wootz.errors import CheckpointError


def test_round_trip_of_every_dtype_shape_and_layout(tmp_path):
    rng = np.random.default_rng(1)
    tensors = {
        "f32": wootz.from_numpy(rng.normal(size=(3, 4)).astype("f4")),
        "f64": wootz.from_numpy(rng.normal(size=7)),
        "i64": wootz.from_numpy(rng.integers(-9, 9, (2, 2))),
        "i32": wootz.from_numpy(rng.integers(-9, 9, 5).astype("i4")),
        "u8": wootz.from_numpy(rng.integers(0, 255, 5).astype("u1")),
        "bool": wootz.from_numpy(np.array([True, False])),
        "scalar": wootz.tensor(2.5),
        "empty": wootz.zeros(0, 3),
        "transposed": wootz.from_numpy(rng.normal(size=(3, 4)).astype("f4")).T,
        'a name with spaces, ünïcode and "quotes"': wootz.ones(1),
        "needs grad": wootz.ones(2, requires_grad=True),
        "f16": wootz.from_numpy(rng.normal(size=(2, 3)).astype("f2")),
        "bf16": wootz.from_numpy(rng.normal(size=(3, 2))).bfloat16(),
        "c64": wootz.from_numpy(rng.normal(size=4) + 1j * rng.normal(size=4)).to(wootz.complex64),
    }
    path = tmp_path / "all.safetensors"
    wootz.save(tensors, path)
    back = wootz.load(path)
    assert set(back) == set(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype and tuple(back[name].shape) == tuple(tensor.shape)
        assert back[name].tolist() == tensor.tolist()
        assert not back[name].requires_grad
    with safetensors.safe_open(path, "numpy") as file:
        for name in set(tensors) - {"bf16"}:
            np.testing.assert_array_equal(file.get_tensor(name), tensors[name].detach().numpy())
        assert file.get_slice("bf16").get_dtype() == "BF16"


def test_bfloat16_files_are_exchanged_with_pytorch(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is the other reader and writer")
    theirs = pytest.importorskip("safetensors.torch")
    values = [[0.5, -3.25], [1e30, 2**-130]]
    wootz.save({"x": wootz.tensor(values, dtype=wootz.bfloat16)}, tmp_path / "ours")
    assert torch.equal(theirs.load_file(tmp_path / "ours")["x"], torch.tensor(values, dtype=torch.bfloat16))
    theirs.save_file({"x": torch.tensor(values, dtype=torch.bfloat16)}, tmp_path / "theirs")
    loaded = wootz.load(tmp_path / "theirs")["x"]
    assert loaded.dtype is wootz.bfloat16 and loaded.tolist() == torch.tensor(values, dtype=torch.bfloat16).tolist()


def test_complex128_is_refused_because_the_format_has_none(tmp_path):
    with pytest.raises(CheckpointError, match="complex128"):
        wootz.save({"x": wootz.ones(1, dtype=wootz.complex128)}, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_file_by_another_program_loads_and_can_be_written_to(tmp_path):
    path = tmp_path / "theirs.safetensors"
    safetensors.numpy.save_file({"x": np.arange(6, dtype="f4").reshape(2, 3)}, path, {"format": "np"})
    loaded = wootz.load(path)["x"]
    loaded.add_(1)
    assert loaded.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert wootz.load(path)["x"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_metadata_is_kept(tmp_path):
    wootz.save({"x": wootz.ones(1)}, tmp_path / "m", {"epoch": "3"})
    with safetensors.safe_open(tmp_path / "m", framework="numpy") as file:
        assert file.metadata() == {"epoch": "3"}


def test_what_is_no_tensor_is_refused_before_anything_is_written(tmp_path):
    for bad in ({"x": np.ones(2)}, {3: wootz.ones(2)}, {"__metadata__": wootz.ones(2)}):
        with pytest.raises(CheckpointError):
            wootz.save(bad, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "model"
    wootz.save({"x": wootz.zeros(2)}, path)

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    for step in ("safetensors.serialize_file", "wootz.serialize.files._sync"):
        with monkeypatch.context() as patch:
            patch.setattr(step, fail)
            with pytest.raises(OSError, match="No space"):
                wootz.save({"x": wootz.ones(2)}, path)
        assert wootz.load(path)["x"].tolist() == [0, 0]
        assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_missing_folder_is_an_os_error_and_leaves_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        wootz.save({"x": wootz.zeros(2)}, tmp_path / "missing" / "model")
    assert list(tmp_path.iterdir()) == []


def test_the_file_gets_the_modes_of_a_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        wootz.save({"x": wootz.zeros(2)}, tmp_path / "model")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o640


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        wootz.load(tmp_path / "none")


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "complex64", "complex128"])
def test_pytorchs_own_files_of_new_dtypes(tmp_path, kind):
    torch = pytest.importorskip("torch", reason="PyTorch is the writer")
    theirs = torch.tensor([[0.5, -3.25], [7.0, 2.0]], dtype=getattr(torch, kind))
    torch.save({"x": theirs.T}, tmp_path / "x.pt")
    loaded = wootz.serialize.load_pt(tmp_path / "x.pt")["x"]
    assert loaded.dtype is getattr(wootz, kind) and loaded.tolist() == theirs.T.tolist()
