"""Checkpoints: training goes on as if it had not stopped, whatever is in them; sharded weights."""

import json

import numpy as np
import pytest
import safetensors.numpy

import wootz
from wootz import nn
from wootz.errors import CheckpointError, StateDictError
from wootz.optim import AdamW
from wootz.optim.lr_scheduler import CosineAnnealingLR
from wootz.serialize import load_checkpoint, load_sharded, save_checkpoint


def parts():
    wootz.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Linear(4, 1))
    optimizer = AdamW([{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.1}], lr=0.01)
    return model, optimizer, CosineAnnealingLR(optimizer, T_max=9)


def train(model, optimizer, schedule, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        model(wootz.randn(8, 3)).square().mean().backward()
        optimizer.step()
        schedule.step()
    return [p.tolist() for p in model.parameters()], schedule.get_last_lr()


def test_training_goes_on_exactly(tmp_path):
    path = tmp_path / "run.safetensors"
    model, optimizer, schedule = parts()
    train(model, optimizer, schedule, 3)
    save_checkpoint(path, model=model, optimizer=optimizer, schedule=schedule, epoch=3)
    expected = train(model, optimizer, schedule, 4)
    again = parts()
    wootz.manual_seed(99)
    states = load_checkpoint(path, model=again[0], optimizer=again[1], schedule=again[2])
    assert states["epoch"] == 3 and list(states) == ["model", "optimizer", "schedule", "epoch"]
    assert train(*again, 4) == expected


def test_values_of_every_kind_come_back(tmp_path):
    path = tmp_path / "values.safetensors"
    value = {
        "list": [1, 2.5, None, True, "ünï"], "tuple": (1, [wootz.ones(2)]), 3: {"3": wootz.zeros(1), 3: wootz.ones(1)},
        "big": 2**80, "inf": float("inf"), "empty": {}, "dict": {"tensor": "x"}, "a.b": 1,
    }  # fmt: skip
    save_checkpoint(path, rng=False, value=value, other={"3.3": wootz.ones(3)})
    back = load_checkpoint(path)
    assert back["value"]["tuple"][1][0].tolist() == [1, 1] and back["other"]["3.3"].tolist() == [1, 1, 1]
    assert back["value"][3]["3"].tolist() == [0] and back["value"][3][3].tolist() == [1]
    for key in ("list", "big", "inf", "empty", "dict", "a.b"):
        assert back["value"][key] == value[key]


def test_other_readers_find_the_tensors(tmp_path):
    path = tmp_path / "run.safetensors"
    model, *_ = parts()
    save_checkpoint(path, model=model)
    with safetensors.safe_open(path, framework="numpy") as file:
        assert sorted(file.keys()) == sorted(f"model.{key}" for key in model.state_dict())


def test_the_random_state_is_given_back_only_if_wanted(tmp_path):
    path = tmp_path / "run.safetensors"
    wootz.manual_seed(5)
    save_checkpoint(path)
    first = wootz.rand(3).tolist()
    load_checkpoint(path, rng=False)
    assert wootz.rand(3).tolist() != first
    load_checkpoint(path)
    assert wootz.rand(3).tolist() == first


def test_what_cannot_be_kept_or_is_missing_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    for bad in ({"f": print}, {(1, 2): 3}, {1, 2}):
        with pytest.raises(CheckpointError):
            save_checkpoint(path, bad=bad)
    assert not path.exists()
    model, *_ = parts()
    before = [p.tolist() for p in model.parameters()]
    save_checkpoint(path, epoch=1)
    with pytest.raises(CheckpointError, match="no part 'model'; there are epoch"):
        load_checkpoint(path, model=model)
    save_checkpoint(path, model=nn.Linear(2, 2))
    with pytest.raises(StateDictError):
        load_checkpoint(path, model=model)
    assert [p.tolist() for p in model.parameters()] == before
    wootz.save({"w": wootz.ones(1)}, path)
    with pytest.raises(CheckpointError, match=r"read it with wootz\.load"):
        load_checkpoint(path)


def shards(folder, weight_map=None):
    wootz.save({"a": wootz.ones(2), "b": wootz.zeros(1)}, folder / "model-00001-of-00002.safetensors")
    wootz.save({"c": wootz.full((3,), 2.0)}, folder / "model-00002-of-00002.safetensors")
    places = {"a": 1, "b": 1, "c": 2} if weight_map is None else weight_map
    files = {k: f"model-0000{v}-of-00002.safetensors" if isinstance(v, int) else v for k, v in places.items()}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 24}, "weight_map": files}))
    return index


def test_sharded_weights(tmp_path):
    index = shards(tmp_path)
    for path in (index, tmp_path):
        assert {k: v.tolist() for k, v in load_sharded(path).items()} == {"a": [1, 1], "b": [0], "c": [2, 2, 2]}


def test_a_shard_by_another_library(tmp_path):
    index = shards(tmp_path)
    safetensors.numpy.save_file({"c": np.arange(3.0)}, tmp_path / "model-00002-of-00002.safetensors")
    assert load_sharded(index)["c"].tolist() == [0, 1, 2]


def test_dicts_of_states_are_saved_and_loaded_as_they_are(tmp_path):
    path = tmp_path / "run.pt"
    held = {"model": {"w": wootz.ones(2)}, "path": 3, "rate": [0.5, (1, None)], "steps": {0: wootz.zeros(1)}}
    wootz.save(held, path)
    found = wootz.load(path, map_location="cpu", weights_only=True)
    assert found["model"]["w"].tolist() == [1, 1] and found["steps"][0].tolist() == [0]
    assert (found["path"], found["rate"]) == (3, [0.5, (1, None)])
    with pytest.raises(TypeError, match="map_location is a device"):
        wootz.load(path, map_location=lambda storage, place: storage)
    refused = [([wootz.ones(1)], "a dict is saved"), ({"m": object()}, "checkpoints hold"), ({1: {}}, "are strings")]
    for wrong, message in refused:
        with pytest.raises(CheckpointError, match=message):
            wootz.save(wrong, path)
