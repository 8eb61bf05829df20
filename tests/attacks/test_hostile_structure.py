"""Indexes of shards and checkpoints made to mislead: refused before anything is changed, and no other file is read."""

import json

import pytest

import wootz
from wootz import nn
from wootz.errors import CheckpointError
from wootz.serialize import load_checkpoint, load_sharded

ELSEWHERE = ["../secret.safetensors", "/etc/secret.safetensors", "sub/secret.safetensors", "secret", "..", "", 3, None]


@pytest.mark.parametrize("place", [*ELSEWHERE, "a\0.safetensors"])
def test_a_shard_outside_the_folder_is_not_read(tmp_path, place):
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    for folder in (tmp_path, inside / "sub"):
        wootz.save({"w": wootz.ones(1)}, folder / "secret.safetensors")
    (inside / "secret").write_bytes((tmp_path / "secret.safetensors").read_bytes())
    index = inside / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": place}}))
    with pytest.raises(CheckpointError, match="file beside it"):
        load_sharded(index)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "no JSON"),
        ("\xff", "no JSON"),
        ("[]", "weight_map"),
        ('{"weight_map": []}', "weight_map"),
        ('{"weight_map": {"x": "m.safetensors"}}', "does not hold it"),
        ('{"weight_map": {}}', None),
        ('{"weight_map": {"w": "m.safetensors"}}', "does not place there"),
    ],
)
def test_an_index_that_does_not_agree_is_refused(tmp_path, text, reason):
    wootz.save({"w": wootz.ones(1), "v": wootz.ones(1)}, tmp_path / "m.safetensors")
    index = tmp_path / "model.safetensors.index.json"
    index.write_bytes(text.encode("latin-1"))
    if reason is None:
        assert load_sharded(index) == {}
        return
    with pytest.raises(CheckpointError, match=reason):
        load_sharded(index)


def checkpoint(path, structure, tensors=("m.weight", "m.bias")):
    shapes = {"m.weight": (1, 2), "m.bias": (1,)}
    text = structure if isinstance(structure, str) else json.dumps(structure)
    wootz.save({name: wootz.ones(shapes.get(name, (1,))) for name in tensors}, path, {"wootz.checkpoint": text})
    return path


MODEL = {"dict": [["weight", {"tensor": "m.weight"}], ["bias", {"tensor": "m.bias"}]]}


def whole(**parts):
    return {"version": 1, "parts": {"m": MODEL, **parts}}


def test_the_checkpoint_they_are_derived_from_loads(tmp_path):
    model = nn.Linear(2, 1)
    load_checkpoint(checkpoint(tmp_path / "c.safetensors", whole(rng=[1, 2])), m=model)
    assert model.weight.tolist() == [[1, 1]]


HOSTILE = {
    "no JSON": ("{", "no JSON"),
    "a tower of brackets": ("[" * 50_000, "no JSON"),
    "a list": ([], "version None"),
    "a later version": ({"version": 2, "parts": {}}, "version 2"),
    "parts in a list": ({"version": 1, "parts": []}, "version 1"),
    "a tensor that is not there": (whole(x={"tensor": "y"}), "means nothing"),
    "a tensor twice": (whole(x={"tensor": "m.bias"}), "means nothing"),
    "a tensor and more": (whole(x={"tensor": "m.bias", "call": "f"}), "means nothing"),
    "an unknown tag": (whole(x={"call": "os.system"}), "means nothing"),
    "an empty object": (whole(x={}), "means nothing"),
    "a tuple of text": (whole(x={"tuple": "abc"}), "means nothing"),
    "a dict of triples": (whole(x={"dict": [[1, 2, 3]]}), "means nothing"),
    "a dict with a list for a key": (whole(x={"dict": [[[1], 2]]}), "means nothing"),
    "a random state of text": (whole(rng="seed"), "two 64-bit numbers"),
    "a random state too large": (whole(rng=[2**64, 0]), "two 64-bit numbers"),
    "a random state of three": (whole(rng=[1, 2, 3]), "two 64-bit numbers"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_checkpoint_is_refused_and_changes_nothing(tmp_path, case):
    structure, reason = HOSTILE[case]
    model, state = nn.Linear(2, 1), wootz._core.random_state()
    before = model.weight.tolist()
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(checkpoint(tmp_path / "c.safetensors", structure), m=model)
    assert model.weight.tolist() == before and wootz._core.random_state()[0] == state[0]


def test_a_structure_nested_deeper_than_the_stack_is_refused(tmp_path):
    deep = "[" * 900 + "]" * 900
    text = json.dumps(whole())[:-2] + f', "x": {deep}}}}}'
    try:
        load_checkpoint(checkpoint(tmp_path / "c.safetensors", text))
    except CheckpointError as error:
        assert "nested" in str(error) or "no JSON" in str(error)


def test_a_tensor_without_a_place_is_refused(tmp_path):
    path = checkpoint(tmp_path / "c.safetensors", whole(), ("m.weight", "m.bias", "stowaway"))
    with pytest.raises(CheckpointError, match="'stowaway' has no place"):
        load_checkpoint(path)
