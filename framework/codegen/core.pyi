# Generated: codegen/core.pyi with one line an op put in; edit that file or ops/*.toml instead.
from collections.abc import Buffer, Callable, Sequence
from typing import Any, TypeAlias, final

Scalar: TypeAlias = bool | int | float

@final
class dtype:
    @property
    def name(self) -> str: ...
    @property
    def itemsize(self) -> int: ...
    @property
    def is_floating_point(self) -> bool: ...
    @property
    def is_complex(self) -> bool: ...
    @property
    def is_signed(self) -> bool: ...
    @staticmethod
    def named(name: str, /) -> dtype: ...

bool: dtype
