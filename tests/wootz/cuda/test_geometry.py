"""The launch plans: every element once, in bounds, by packs only where packs are allowed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wootz.backend import geometry
from wootz.backend.geometry import GeometryError, Operand, elementwise, flat, norm_parameters, reduction, rows, slots


def contiguous(shape):
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def visited(launch, operand):
    """Element offsets of one operand in the order of the linear unit index, as layout.cuh's `locate` finds them."""
    plan, lanes = launch.plan, 1
    inner = int(plan["stride"][0][0])  # of the output: the lanes of a pack, times its stride of 1
    lanes = inner if plan["vector"] else 1
    offsets = []
    for unit in range(int(plan["units"])):
        at, rest = 0, unit
        for d in range(int(plan["ndim"]) - 1):
            extent = int(plan["shape"][d])
            at += rest % extent * int(plan["stride"][operand][d])
            rest //= extent
        at += rest * int(plan["stride"][operand][int(plan["ndim"]) - 1])
        moves = plan["stride"][operand][0] != 0
        offsets += [at + (i if plan["vector"] and moves else 0) for i in range(lanes)]
    for i in range(int(plan["tail"])):
        step = int(plan["stride"][operand][0])
        offsets.append(int(plan["units"]) * step + (i if step else 0))
    return [o + launch.offsets[operand] for o in offsets]


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_an_elementwise_plan_visits_every_element_once(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 9), max_size=5)))
    order = data.draw(st.permutations(range(len(shape))))
    kept = data.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
    out = np.arange(math.prod(shape), dtype="i4").reshape(shape)
    source = np.arange(math.prod(shape), dtype="i4").reshape([shape[i] for i in order]).transpose(np.argsort(order))
    source = source[tuple(slice(None) if k else slice(0, 1) for k in kept)]
    view = np.broadcast_to(source, shape)
    operands = [
        Operand(4, tuple(s // 4 for s in a.strides), data.draw(st.sampled_from([0, 4, 16]))) for a in (out, view)
    ]
    (launch,) = elementwise(shape, operands)
    pairs = dict(zip(visited(launch, 0), visited(launch, 1), strict=True))
    expected = np.lib.stride_tricks.as_strided(
        np.arange(math.prod(shape) or 1), shape, [8 * s for s in operands[1].strides]
    )
    assert pairs == dict(zip(out.ravel().tolist(), expected.ravel().tolist(), strict=True))
    assert launch.grid[0] * launch.block[0] >= launch.plan["units"] + launch.plan["tail"]


@pytest.mark.parametrize(
    ("shape", "operands", "vector"),
    [
        ((64,), [(4, (1,), 0), (4, (1,), 0)], True),
        ((64,), [(4, (1,), 0), (4, (1,), 4)], False),  # an input off its alignment
        ((64,), [(4, (1,), 8), (4, (1,), 0)], False),  # the output off its alignment
        ((64,), [(1, (1,), 4), (4, (1,), 0)], True),  # a bool output needs 4 bytes only
        ((64,), [(1, (1,), 2), (4, (1,), 0)], False),
        ((64,), [(4, (1,), 0), (4, (0,), 4), (4, (1,), 0)], True),  # one broadcast element needs no alignment
        ((64,), [(4, (1,), 0), (4, (0,), 4)], False),  # a kernel of one input loads packs only
        ((64,), [(4, (1,), 0), (4, (2,), 0)], False),  # every second element
        ((6, 8), [(4, (8, 1), 0), (4, (12, 1), 0)], True),  # rows of a wider matrix
        ((6, 8), [(4, (8, 1), 0), (4, (9, 1), 0)], False),  # rows that do not start on a pack
        ((6, 7), [(4, (7, 1), 0), (4, (0, 1), 0)], False),  # rows that hold no whole packs
        ((8, 6), [(4, (6, 1), 0), (4, (1, 8), 0)], False),  # transposed
        ((8, 6), [(4, (1, 8), 0), (4, (1, 8), 0)], True),  # both transposed: contiguous after all
        ((32,), [(8, (1,), 0), (2, (1,), 4)], True),  # a cast: packs of what 16 bytes of the larger hold
        ((32,), [(8, (1,), 0), (2, (1,), 2)], False),
    ],
)
def test_packs_are_used_only_where_they_are_aligned_and_whole(shape, operands, vector):
    (launch,) = elementwise(shape, [Operand(*o) for o in operands])
    assert bool(launch.plan["vector"]) is vector


def test_contiguous_dimensions_merge_whatever_their_number():
    shape = (2,) * 12
    (launch,) = elementwise(shape, [Operand(4, contiguous(shape))] * 2)
    assert launch.plan["ndim"] == 1 and launch.plan["units"] == 2**12 // 4


def test_more_dimensions_than_the_kernels_take_are_refused():
    shape = (2,) * 9
    with pytest.raises(GeometryError, match="9 dimensions"):
        elementwise(shape, [Operand(4, contiguous(shape)), Operand(4, contiguous(shape)[::-1])])


def test_empty_shapes_need_no_launch_and_scalars_one():
    assert elementwise((3, 0), [Operand(4, (0, 1))]) == []
    (launch,) = elementwise((), [Operand(4, ()), Operand(4, ())])
    assert launch.grid == (1, 1, 1) and launch.plan["units"] + launch.plan["tail"] == 1


def test_more_units_than_32_bits_count_become_several_launches():
    count = 5 * 2**33 + 3
    launches = elementwise((count,), [Operand(4, (1,)), Operand(4, (1,))])
    sizes = [int(x.plan["units"]) * 4 + int(x.plan["tail"]) for x in launches]
    assert sum(sizes) == count and len(launches) > 1
    assert [x.offsets[0] for x in launches] == np.cumsum([0, *sizes[:-1]]).tolist()
    assert all(o % 4 == 0 for x in launches for o in x.offsets)
    assert all(int(x.plan["units"]) + int(x.plan["tail"]) <= geometry.MAX_UNITS for x in launches)
    strided = elementwise((3, 2**31), [Operand(4, (2**31, 1)), Operand(4, (2**32, 2))])
    assert sum(int(x.plan["units"]) for x in strided) == 3 * 2**31


@pytest.mark.parametrize("length", [1, 5, 100, 4096, 10**6, 3 * 10**9])
@pytest.mark.parametrize("outputs", [1, 7, 1000, 10**5])
@pytest.mark.parametrize("column", [False, True])
def test_a_reduction_covers_its_length_with_a_block_of_256(length, outputs, column):
    shape, dims = ((length, outputs), (0,)) if column else ((outputs, length), (1,))
    plan = reduction(shape, contiguous(shape), dims, Operand(4, (), 0))
    first = plan.first.plan
    assert first["outputs_per_block"] * first["threads_per_output"] == 256
    assert first["threads_per_output"] & (first["threads_per_output"] - 1) == 0
    assert plan.first.grid[0] * first["outputs_per_block"] >= outputs
    assert (plan.splits - 1) * first["chunk"] < length <= plan.splits * first["chunk"]
    assert plan.first.grid[1] == plan.splits <= geometry.MAX_GRID_Y
    assert not first["vector"] or (first["chunk"] % 4 == 0 or plan.splits == 1)
    if plan.final is not None:
        assert plan.final.plan["length"] == plan.splits and plan.final.plan["outputs"] == outputs
        assert plan.splits * outputs < 10**7  # partial results stay small


def test_reductions_that_32_bits_cannot_index_are_refused():
    with pytest.raises(GeometryError, match="32-bit"):
        reduction((2**32, 2), (2, 1), (1,), Operand(4, (), 0))
    with pytest.raises(GeometryError, match="32-bit"):
        reduction((2**16, 2, 2**16), (2**18, 2**17, 1), (0, 2), Operand(4, (), 0))


@pytest.mark.parametrize("columns", [1, 31, 1024, 1025, 50_257, 10**6])
@pytest.mark.parametrize("count", [0, 1, 9, 2**33])
def test_rows(columns, count):
    launch = rows(count, columns, columns, 2, [0, 16])
    x, y, z = launch.block
    assert x % 32 == 0 and (x == 32 or y == 1) and x * y * z <= 512
    assert 1 <= launch.grid[0] <= geometry.MAX_GRID_X
    assert bool(launch.plan["vector"]) is (columns % 8 == 0)
    assert not rows(2, 8, 9, 4, [0]).plan["vector"] and not rows(2, 8, 8, 4, [4]).plan["vector"]


def test_norm_parameters_writes_a_few_lines_of_partial_results():
    for count, columns in [(1, 1), (8192, 1024), (10**6, 8), (10, 10**6)]:
        launch, lines = norm_parameters(count, columns, columns)
        assert launch.grid[0] * geometry.COLUMNS_PER_BLOCK >= columns
        assert launch.grid[1] == lines <= 512


def test_slots_share_a_launch_by_blocks():
    launch, firsts = slots([1, 4096, 4097, 10])
    assert firsts == [0, 1, 2, 4] and launch.grid == (5, 1, 1)
    with pytest.raises(GeometryError):
        slots([2**45])


def test_flat_counts_four_a_thread():
    assert flat(0).grid == (1, 1, 1) and flat(1025).grid == (2, 1, 1) and flat(2**60).grid[0] == geometry.MAX_GRID_X
