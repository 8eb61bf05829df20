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
    }
    path = tmp_path / "all.safetensors"
    wootz.save(tensors, path)
    back = wootz.load(path)
    assert set(back) == set(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype and tuple(back[name].shape) == tuple(tensor.shape)
        np.testing.assert_array_equal(back[name].numpy(), tensor.detach().numpy())
        assert not back[name].requires_grad
    assert all((v == tensors[k].detach().numpy()).all() for k, v in safetensors.numpy.load_file(path).items())


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

    def fail(*_):
        raise OSError(28, "No space left on device")

    for step in ("wootz.serialize.files.safetensors.numpy.save_file", "wootz.serialize.files._sync"):
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
