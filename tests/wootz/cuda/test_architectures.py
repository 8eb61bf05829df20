"""The lists of GPU architectures: what is left out because another one's machine code is the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.hermetic import ROOT, Quiet
from tests.support.kernels import machine_code

from millcert.hermetic.build import Builder
from millcert.hermetic.derivation import Command
from millcert.sandbox import Bubblewrap
from millcert.targets import load_targets
from millcert.wheel.project import UNPACKERS, Project

CUDA = {name: variant.cuda for name, variant in load_targets(ROOT / "ci/targets.toml").variants.items() if variant.cuda}


@pytest.mark.parametrize("variant", CUDA)
def test_sm_89_is_left_out_because_it_runs_the_machine_code_of_sm_86(variant, lab, warm_store):
    assert 86 in CUDA[variant].gpu and 89 not in CUDA[variant].gpu
    project = Project(ROOT)
    chosen = project.variants([variant])
    toolchain = project.fetch(warm_store, chosen, lambda *_: None)
    nodes = project.plan(warm_store, toolchain, chosen, [])[0].nodes
    listed = nodes[f"cubin-{CUDA[variant].version}-86-softmax"]
    assert isinstance(listed, Command)
    argv = tuple("89" if word == "86" else word for word in listed.argv)
    other = replace(listed, name="sm_89", argv=argv, outputs=tuple(p.replace("86", "89") for p in listed.outputs))
    wanted = [*(nodes[need] for need in listed.needs), listed, other]
    built = Builder(warm_store, Bubblewrap, UNPACKERS, project.targets.limits, Quiet(), jobs=2).build(wanted)
    code, same = (
        machine_code(warm_store.tree_file(built[name].tree, f"sm_{gpu}.cubin").read_bytes())
        for name, gpu in ((listed.name, 86), (other.name, 89))
    )
    assert len(code) > 10 and all(map(len, code.values()))
    assert code == same
