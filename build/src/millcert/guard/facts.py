"""What a user's files and settings state, whatever their format: indexes, requirements, settings, problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from millcert.errors import ConfigError
from millcert.guard.address import Address, parse_address
from millcert.guard.finding import Place
from millcert.names import NormalizedName, normalize

__all__ = ["Entry", "Facts", "IndexUse", "Kind", "Problem", "Role", "Setting", "Tool", "entry_name"]

Tool = str  # "pip", "uv", "poetry", "pdm", "pylock"


class Kind(Enum):
    """What a file is for: what is installed, what is asked for, or where things come from."""

    REQUIREMENTS = "requirements"
    SPECIFICATION = "specification"
    LOCK = "lock"
    CONFIGURATION = "configuration"


class Role(Enum):
    """How an index is used. Only ``EXPLICIT`` is asked for nothing but the names that were bound to it."""

    PRIMARY = "primary"
    EXTRA = "extra"
    LINKS = "links"
    EXPLICIT = "explicit"


@dataclass(frozen=True)
class IndexUse:
    """An index or link folder that a tool is told to look in."""

    role: Role
    address: Address
    place: Place
    name: str = ""


@dataclass(frozen=True)
class Entry:
    """A required or locked project. ``version`` is set where exactly one is allowed.

    ``origin`` is the index it is bound to, by address; ``index`` the same by name (millcert's own locks);
    ``default_origin``: the format says that it comes from the tool's default index. ``hashes`` are algorithms.
    """

    name: NormalizedName
    place: Place
    version: str = ""
    origin: Address | None = None
    index: str = ""
    default_origin: bool = False
    direct: Address | None = None
    local: bool = False
    hashes: tuple[str, ...] = ()
    files: tuple[Address, ...] = ()
    unhashed_files: int = 0


@dataclass(frozen=True)
class Setting:
    """A setting other than an index."""

    key: str
    value: str
    place: Place


@dataclass(frozen=True)
class Problem:
    """Something in an input that cannot be read; ``whole`` where nothing of the file could."""

    message: str
    place: Place
    whole: bool = False


@dataclass
class Facts:
    """All that one input states. ``includes`` are the files it names, relative to itself."""

    file: str
    tool: Tool
    kind: Kind
    indexes: list[IndexUse] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    includes: list[str] = field(default_factory=list)

    def place(self, line: int = 0, key: str = "") -> Place:
        """A place in this input."""
        return Place(self.file, line, key)

    def add_index(self, role: Role, address: str, place: Place, name: str = "") -> None:
        """Note an index; an empty address is none."""
        if address.strip():
            self.indexes.append(IndexUse(role, parse_address(address), place, name))

    def add_problem(self, message: str, line: int = 0, key: str = "", *, whole: bool = False) -> None:
        """Note something unreadable."""
        self.problems.append(Problem(message, self.place(line, key), whole))

    def setting(self, key: str) -> Setting | None:
        """The last value of a setting."""
        return next((setting for setting in reversed(self.settings) if setting.key == key), None)


def entry_name(text: object) -> NormalizedName | None:
    """A name as it stands in a file, or None where it is not a valid one."""
    try:
        return normalize(text) if isinstance(text, str) and len(text) <= 200 else None
    except ConfigError:
        return None
