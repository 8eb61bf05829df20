"""Lists and dicts of parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from wootz._tensor import Tensor
from wootz.nn.module import Module
from wootz.nn.parameter import Parameter

__all__ = ["ParameterDict", "ParameterList"]


def _parameter(value: Any) -> Parameter:
    if not isinstance(value, Tensor):
        raise TypeError(f"a tensor is needed, not {type(value).__name__}")
    return value if isinstance(value, Parameter) else Parameter(value)


def _line(name: str, held: Parameter) -> str:
    shape = "x".join(map(str, held.shape)) or "scalar"
    return f"({name}): Parameter of {held.dtype.name} and shape {shape}"


class ParameterList(Module):
    """A list whose tensors are registered as parameters; it is no function itself."""

    def __init__(self, values: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.extend(values)

    def append(self, value: Tensor) -> ParameterList:
        """Adds a parameter at the end."""
        self.register_parameter(str(len(self)), _parameter(value))
        return self

    def extend(self, values: Iterable[Tensor]) -> ParameterList:
        """Adds parameters at the end."""
        for value in values:
            self.append(value)
        return self

    def _name(self, index: int) -> str:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} parameters")
        return str(index % len(self))

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[Parameter]:
        return iter([held for held in self._parameters.values() if held is not None])

    def __getitem__(self, index: int) -> Parameter:
        held = self._parameters[self._name(index)]
        assert held is not None
        return held

    def __setitem__(self, index: int, value: Tensor) -> None:
        self.register_parameter(self._name(index), _parameter(value))

    def extra_repr(self) -> str:
        return "\n".join(_line(str(i), held) for i, held in enumerate(self))


class ParameterDict(Module):
    """A dict whose tensors are registered as parameters; it is no function itself."""

    def __init__(self, parameters: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.update(parameters or {})

    def update(self, parameters: Mapping[str, Tensor]) -> None:
        """Adds or replaces parameters by name."""
        for name, value in parameters.items():
            self[name] = value

    def __len__(self) -> int:
        return len(self._parameters)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, name: object) -> bool:
        return name in self._parameters

    def __getitem__(self, name: str) -> Parameter:
        held = self._parameters[name]
        assert held is not None
        return held

    def __setitem__(self, name: str, value: Tensor) -> None:
        self.register_parameter(name, _parameter(value))

    def __delitem__(self, name: str) -> None:
        del self._parameters[name]

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._parameters.keys()

    def values(self) -> Iterable[Parameter | None]:
        """The parameters."""
        return self._parameters.values()

    def items(self) -> Iterable[tuple[str, Parameter | None]]:
        """Names and parameters."""
        return self._parameters.items()

    def extra_repr(self) -> str:
        return "\n".join(_line(name, self[name]) for name in self)
