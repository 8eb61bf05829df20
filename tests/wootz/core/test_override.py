"""Subclasses of Tensor: preserved by default, and asked through `__wootz_function__`."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import wootz
from wootz import Tensor, nn
from wootz._override import disabled_wootz_function
from wootz.func import vmap


class Logging(Tensor):
    """Writes down the ops it takes part in."""

    log: list[str] = []  # noqa: RUF012  # shared on purpose

    @classmethod
    def __wootz_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.log.append(func.__name__)
        return super().__wootz_function__(func, types, args, kwargs)


class Meters(Tensor):
    """A length with its power: lengths add to lengths, and multiply to areas."""

    power: int = 1

    @classmethod
    def __wootz_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        powers = [a.power if isinstance(a, Meters) else 0 for a in args if isinstance(a, Tensor) or a is not None]
        out = super().__wootz_function__(func, types, args, kwargs)
        if func in (wootz.add, wootz.sub):
            if len(set(powers)) > 1:
                raise TypeError(f"cannot add lengths to the powers {powers}")
            out.power = powers[0]
        elif func is wootz.mul:
            out.power = sum(powers)
        elif func is wootz.div:
            out.power = powers[0] - powers[1]
        elif isinstance(out, Meters):
            out.power = powers[0]
        return out


def meters(values: Any, power: int = 1) -> Meters:
    out: Meters = wootz.tensor(values, dtype=wootz.float64).as_subclass(Meters)
    out.power = power
    return out


def test_units_are_carried_through_functions_methods_and_operators() -> None:
    a, b = meters([1.0, 2.0]), meters([3.0, 4.0])
    area = a * b
    assert type(area) is Meters and area.power == 2 and area.tolist() == [3.0, 8.0]
    assert (area / a).power == 1 and (2 * area).power == 2 and (area * 2.0).power == 2
    assert wootz.sum(area).power == 2 and area.sum().power == 2 and area[0].power == 2
    assert area.T.power == area.detach().power == area.contiguous().power == area.reshape(1, 2).mT.power == 2
    with pytest.raises(TypeError, match="cannot add lengths"):
        area + a
    with pytest.raises(TypeError, match="cannot add lengths"):
        1 + a
    area += b * a
    assert type(area) is Meters and area.tolist() == [6.0, 16.0]


def test_every_way_of_calling_an_op_is_seen() -> None:
    x = wootz.ones(2, 2).as_subclass(Logging)
    Logging.log.clear()
    calls = [
        lambda: x + 1, lambda: 1 - x, lambda: wootz.add(x, x, alpha=2), lambda: wootz.add(wootz.ones(2), other=x),
        lambda: x.add_(1), lambda: x.exp(), lambda: -x, lambda: x == x, lambda: x @ x, lambda: x[0],
        lambda: x.__setitem__(0, 1.0), lambda: wootz.ones(2, 2).__setitem__(0, x[1]),
        lambda: wootz.cat([wootz.ones(1, 2), x]),
        lambda: wootz.where(x > 0, x, 0.0), lambda: x.reshape(4), lambda: x.__imul__(2), lambda: abs(x),
        lambda: ~(x > 0),
    ]  # fmt: skip
    for call in calls:
        call()
    assert Logging.log == [
        "add", "sub", "add", "add", "add_", "exp", "neg", "eq", "matmul", "__getitem__", "__setitem__", "__getitem__",
        "__setitem__", "cat", "gt", "where", "reshape", "mul_", "abs", "gt", "bitwise_not",
    ]  # fmt: skip


def test_ops_written_in_python_are_seen_as_the_ops_they_are_made_of() -> None:
    x = wootz.ones(3).as_subclass(Logging)
    Logging.log.clear()
    assert type(x.std()) is Logging and Logging.log == ["var", "sqrt"]


def test_array_module_ops_are_seen_too() -> None:
    x = wootz.tensor([2.0, 1.0]).as_subclass(Logging)
    Logging.log.clear()
    assert type(x.cumprod(0)) is Logging and "cumprod" in Logging.log
    assert type(wootz.sort(x).values) is Logging


def test_history_goes_on_in_subclasses() -> None:
    x = wootz.tensor([1.0, 2.0], requires_grad=True)
    y = x.as_subclass(Logging)
    (y * y).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [2.0, 4.0]
    leaf = wootz.ones(2).as_subclass(Meters).requires_grad_()
    (leaf * 3).sum().backward()
    assert leaf.grad is not None and leaf.grad.tolist() == [3.0, 3.0]


def test_plain_subclasses_are_preserved_and_parameters_are_not() -> None:
    class Tagged(Tensor):
        pass

    a = wootz.ones(2).as_subclass(Tagged)
    assert type(a * 2) is Tagged and type(a.unbind()[0]) is Tagged and type(wootz.ones(2) + a) is Tagged
    p = nn.Parameter(wootz.ones(2))
    assert type(p * 2) is Tensor

    class Mine(nn.Parameter):
        pass

    assert type(Mine(wootz.ones(2)) * 2) is Tensor

    class Opted(Tagged):
        __wootz_function__ = classmethod(disabled_wootz_function)

    assert type(wootz.ones(2).as_subclass(Opted) * 2) is Tensor


def test_the_most_derived_class_is_asked_first_and_may_pass() -> None:
    asked = []

    class Base(Tensor):
        @classmethod
        def __wootz_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            asked.append(cls.__name__)
            return NotImplemented

    class Derived(Base):
        pass

    class Other(Base):
        pass

    a, b, c = (wootz.ones(1).as_subclass(k) for k in (Base, Derived, Other))
    with pytest.raises(TypeError, match=r"no implementation of 'add'.* Derived, Base returned NotImplemented"):
        a + b
    assert asked == ["Derived", "Base"]
    asked.clear()
    with pytest.raises(TypeError):
        wootz.where(wootz.ones(1, dtype=wootz.bool), c, b)
    assert asked == ["Other", "Derived"]


def test_unrelated_subclasses_do_not_take_each_other_over() -> None:
    class A(Tensor):
        pass

    class B(Tensor):
        pass

    with pytest.raises(TypeError, match="A, B returned NotImplemented"):
        wootz.ones(1).as_subclass(A) + wootz.ones(1).as_subclass(B)


def test_an_override_that_raises_or_returns_anything_is_believed() -> None:
    class Odd(Tensor):
        @classmethod
        def __wootz_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is wootz.mul:
                raise ZeroDivisionError
            return "anything", len(args), kwargs

    x = wootz.ones(2).as_subclass(Odd)
    assert x + 1 == ("anything", 2, {}) and wootz.add(x, 1, alpha=3) == ("anything", 2, {"alpha": 3})
    with pytest.raises(ZeroDivisionError):
        x * 2


def test_classes_that_died_leave_nothing_behind() -> None:
    from wootz import _core

    def use() -> None:
        class Short(Tensor):
            pass

        assert type(wootz.ones(1).as_subclass(Short) + 1) is Short

    for _ in range(50):
        use()
    gc.collect()
    assert type(wootz.ones(1) + 1) is Tensor and _core.call_plain(wootz.add, (wootz.ones(1), 1), None).item() == 2.0


def test_subclasses_inside_vmap() -> None:
    x = np.arange(6.0).reshape(2, 3)
    out = vmap(lambda t: t.as_subclass(Meters).sum())(wootz.from_numpy(x))
    assert np.allclose(out.numpy(), x.sum(1))


def test_as_subclass_refuses_what_is_no_subclass() -> None:
    with pytest.raises(TypeError, match="subclass of Tensor"):
        wootz.ones(1).as_subclass(int)  # type: ignore[type-var]  # the mistake under test
