"""A reader of pickles that builds numbers, strings, containers and what it is told to, and calls nothing else.

Python's own unpickler runs what the file names. This one is a stack machine of its own over the parsed opcodes: a name
in the file is looked up in a table given here, and an opcode that state dicts have no need of is refused.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from wootz.errors import CheckpointError

__all__ = ["Marker", "read_pickle"]


class Marker:
    """A thing that a pickle names and that is only handed on, never called."""

    def __init__(self, name: str) -> None:
        self.name = name


_MARK = object()
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_DICT": dict, "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple, "MARK": lambda: _MARK,
}  # fmt: skip
_LITERALS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINBYTES", "BINBYTES",
}  # fmt: skip
_IGNORED = {"PROTO", "FRAME"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    def __init__(self, names: Mapping[tuple[str, str], Any], persistent: Callable[[Any], Any], where: str) -> None:
        self.names, self.persistent, self.where = names, persistent, where
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def fail(self, problem: str) -> CheckpointError:
        return CheckpointError(f"{self.where}: {problem}")

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise self.fail("the pickle takes a value that it did not make")
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is _MARK:
                found = self.stack[i + 1 :]
                del self.stack[i:]
                return found
        raise self.fail("the pickle takes values that it did not mark")

    def step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name in _TUPLES:
            self.stack.append(tuple([self.pop() for _ in range(_TUPLES[name])][::-1]))
        elif name not in _IGNORED:
            action = getattr(self, f"do_{name.lower()}", None)
            if action is None:
                raise self.fail(f"the pickle has the opcode {name}, which is not read: weights have no need of it")
            action(argument)

    def do_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.pop_to_mark()))

    def do_binput(self, index: int) -> None:
        self.memo[index] = self.peek()

    do_long_binput = do_binput

    def do_memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.peek()

    def peek(self) -> Any:
        value = self.pop()
        self.stack.append(value)
        return value

    def do_binget(self, index: int) -> None:
        if index not in self.memo:
            raise self.fail(f"the pickle refers to a value {index} that it did not store")
        self.stack.append(self.memo[index])

    do_long_binget = do_binget

    def do_append(self, _: Any) -> None:
        self.extend([self.pop()])

    def do_appends(self, _: Any) -> None:
        self.extend(self.pop_to_mark())

    def extend(self, values: list[Any]) -> None:
        target = self.peek()
        if type(target) is not list:
            raise self.fail(f"the pickle appends to a {type(target).__name__}")
        target.extend(values)

    def do_setitem(self, _: Any) -> None:
        value = self.pop()
        self.update([self.pop(), value])

    def do_setitems(self, _: Any) -> None:
        self.update(self.pop_to_mark())

    def update(self, pairs: list[Any]) -> None:
        target = self.peek()
        if type(target) is not dict or len(pairs) % 2:
            raise self.fail(f"the pickle sets items of a {type(target).__name__}")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            # Hashing nested tuples that share their parts takes time exponential in the file's size.
            if not isinstance(key, (str, int, float, bool)):
                raise self.fail(f"a dict has a {type(key).__name__} for a key; keys are strings and numbers")
            target[key] = value

    def do_global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.look_up(module, name)

    def do_stack_global(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        self.look_up(module, name)

    def look_up(self, module: Any, name: Any) -> None:
        found = self.names.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if found is None:
            raise self.fail(
                f"the pickle names {module!s:.80}.{name!s:.80}, which is not on the list of what weights need; "
                "nothing was run. Save a state dict of tensors instead"
            )
        self.stack.append(found)

    def do_reduce(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        if not callable(function) or function not in self.names.values() or type(arguments) is not tuple:
            raise self.fail("the pickle calls something that is no function on the list")
        try:
            self.stack.append(function(*arguments))
        except TypeError as error:
            raise self.fail(f"the pickle calls {function.__name__} with other arguments than it has") from error

    def do_binpersid(self, _: Any) -> None:
        self.stack.append(self.persistent(self.pop()))

    def do_build(self, _: Any) -> None:
        # An OrderedDict's attributes: PyTorch keeps the versions of layers there, which have no use here.
        state, target = self.pop(), self.peek()
        if type(target) is not dict or type(state) is not dict:
            raise self.fail(f"the pickle sets attributes of a {type(target).__name__}")


def read_pickle(data: bytes, names: Mapping[tuple[str, str], Any], persistent: Callable[[Any], Any], where: str) -> Any:
    """The object of a pickle: ``names`` holds the functions and `Marker` s that it may name, by module and name.

    ``persistent`` makes the things that the pickle refers to outside itself. Raises `CheckpointError`.
    """
    machine = _Machine(names, persistent, where)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                result = machine.pop()
                if machine.stack:
                    raise machine.fail("the pickle leaves values behind")
                return result
            machine.step(opcode.name, argument)
    except (ValueError, OverflowError, EOFError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{where}: the pickle is broken: {error}") from error
    raise CheckpointError(f"{where}: the pickle has no end")
