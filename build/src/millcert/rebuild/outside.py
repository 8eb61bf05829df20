"""What surrounds a build and must not matter: each variation has two settings, and a reason where one cannot be had."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

__all__ = [
    "OTHER_USER", "VARIATIONS", "Outside", "Variation", "Varied", "alone", "import_path", "installed_pythons",
    "is_other_python", "pairwise",
]  # fmt: skip

OTHER_USER = 12345
_ROOM = 6 << 30  # bytes that a rebuild's store and sources may need on the memory file system


@dataclass(frozen=True)
class Outside:
    """The surroundings of one build; ``wrapper`` is put before the command, ``parent`` says on which disk it works.

    ``pythons`` are those among which another one is looked for.
    """

    folder: str = "a"
    parent: Path | None = None
    python: str = sys.executable
    wrapper: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    umask: int = 0o022
    user: tuple[str, ...] = ()
    processors: int | None = None
    jobs: int = os.cpu_count() or 1
    reversed: bool = False
    pythons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Varied:
    """One variation applied: its name, and the setting in words; or the reason why it could not be."""

    name: str
    setting: str
    skipped: bool = False


@dataclass(frozen=True)
class Variation:
    """Something to vary: the second setting in words, how it changes the surroundings, and whether it can be had."""

    name: str
    first: str
    second: str
    apply: Callable[[Outside], Outside]
    obstacle: Callable[[Outside], str] = lambda outside: ""


def _environment(**values: str) -> Callable[[Outside], Outside]:
    return lambda outside: replace(outside, environment={**outside.environment, **values})


def _wrapped(*words: str) -> Callable[[Outside], Outside]:
    return lambda outside: replace(outside, wrapper=(*words, *outside.wrapper))


def _faketime() -> str:
    found = [
        path for base in ("/usr/lib", "/usr/local/lib") for path in Path(base).glob("*/faketime/libfaketimeMT.so.1")
    ]
    return str(found[0]) if found else ""


def _no_faketime(outside: Outside) -> str:
    return "" if _faketime() else "libfaketime is not installed (apt-get install libfaketime)"


def _fake_clock(outside: Outside) -> Outside:
    values = {
        "LD_PRELOAD": _faketime(),
        "FAKETIME": "+1234d",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
    }
    return replace(outside, environment={**outside.environment, **values})


def _not_root(outside: Outside) -> str:
    return "" if os.geteuid() == 0 else "only root may"


@cache
def _other_users_python() -> str:
    # through env, because setpriv itself may still run a program that only root may
    candidates = (sys.executable, "/usr/bin/python3")
    return next((found for found in candidates if _works([*_AS_OTHER, "env", found, "-c", _IMPORTS])), "")


def _no_other_user(outside: Outside) -> str:
    if reason := _not_root(outside):
        return reason
    return "" if _other_users_python() else "Python or millcert lies where another user may not read"


def _other_user(outside: Outside) -> Outside:
    return replace(outside, user=_AS_OTHER, python=_other_users_python())


_AS_OTHER = ("setpriv", "--reuid", str(OTHER_USER), "--regid", str(OTHER_USER), "--clear-groups")
_IMPORTS = "import millcert.cli.build, millcert.attest.wheel, millcert.wheel.project"
_OTHER_HOST = ("unshare", "--uts", "--", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh")


def import_path() -> str:
    """This process's import path for another Python, without this one's own standard library."""
    own = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    own |= {str(Path(path) / "lib-dynload") for path in own}
    return os.pathsep.join(path for path in sys.path if path and path not in own and not path.endswith(".zip"))


def _works(command: Sequence[str]) -> bool:
    environment = {**os.environ, "PYTHONPATH": import_path()}
    try:
        return subprocess.run(command, cwd="/", env=environment, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def installed_pythons() -> tuple[str, ...]:
    """Every Python 3.11 or newer that is on PATH, or where pyenv and uv put theirs."""
    home = Path.home()
    places = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for versions in (home / ".pyenv" / "versions", home / ".local" / "share" / "uv" / "python"):
        places += sorted(versions.glob("*/bin"), reverse=True)
    names = [f"python3.{minor}" for minor in range(19, 10, -1)]
    return tuple(str(place / name) for name in names for place in places if (place / name).is_file())


@cache
def _other_python(pythons: tuple[str, ...], user: tuple[str, ...]) -> str:
    other = f"import sys; sys.exit(sys.version_info[:2] == {sys.version_info[:2]})"
    works = (
        python for python in pythons if all(_works([*user, "env", python, "-c", code]) for code in (other, _IMPORTS))
    )
    return next(works, "")


def _another_python(outside: Outside) -> Outside:
    return replace(outside, python=_other_python(outside.pythons, outside.user))


def is_other_python(python: str) -> bool:
    """Whether a Python is of another version than this one and can run millcert with this one's packages."""
    return bool(_other_python((python,), ()))


def _no_other_python(outside: Outside) -> str:
    if _other_python(outside.pythons, outside.user):
        return ""
    reader = f" for uid {OTHER_USER}" if outside.user else ""
    return f"no other version of Python that can run millcert is at hand{reader} (--python names one)"


def _no_memory_disk(outside: Outside) -> str:
    shared = Path("/dev/shm")
    try:
        room = os.statvfs(shared)
    except OSError:
        return "there is no memory file system"
    return "" if room.f_bavail * room.f_frsize >= _ROOM else f"{shared} has less than {_ROOM >> 30} GiB free"


VARIATIONS: tuple[Variation, ...] = (
    Variation("directory", "short", "deep, with spaces", lambda o: replace(o, folder="b/deeper and with spaces/ü/x")),
    Variation(
        "file order", "disk", "memory file system", lambda o: replace(o, parent=Path("/dev/shm")), _no_memory_disk
    ),
    Variation("user", "this one", f"uid {OTHER_USER}", _other_user, _no_other_user),
    Variation("umask", "022", "077", lambda o: replace(o, umask=0o077)),
    Variation(
        "locale", "C.UTF-8", "tr_TR.ISO-8859-9", _environment(LANG="tr_TR.ISO-8859-9", LC_ALL="tr_TR.ISO-8859-9")
    ),
    Variation("time zone", "UTC", "Pacific/Chatham", _environment(TZ="Pacific/Chatham")),
    Variation("clock", "now", "1234 days later", _fake_clock, _no_faketime),
    Variation("host name", "this one", "elsewhere", _wrapped(*_OTHER_HOST), _not_root),
    Variation("hash seed", "0", "4242", _environment(PYTHONHASHSEED="4242")),
    Variation("processors", "all", "one", lambda o: replace(o, processors=1, jobs=1)),
    Variation("host Python", "this one", "another", _another_python, _no_other_python),
    Variation("order of variants", "as listed", "reversed", lambda o: replace(o, reversed=True)),
    Variation(
        "environment", "clean", "with compiler flags", _environment(CFLAGS="-O0", CXX="false", SOURCE_DATE_EPOCH="1")
    ),
)
_FIRST = Outside(environment={"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"})


def pairwise(pythons: tuple[str, ...]) -> list[tuple[str, Outside, list[Varied]]]:
    """Two builds: the first has every first setting, the second every second one that can be had."""
    first = replace(_FIRST, pythons=pythons)
    return [("first", first, _settings(())), ("second", *_changed(first, VARIATIONS))]


def alone(pythons: tuple[str, ...]) -> list[tuple[str, Outside, list[Varied]]]:
    """A build with every first setting, and one for each variation that can be had, with only that one changed."""
    first = replace(_FIRST, pythons=pythons)
    changed = [(variation.name, *_changed(first, (variation,))) for variation in VARIATIONS]
    return [("first", first, _settings(())), *(run for run in changed if not any(varied.skipped for varied in run[2]))]


def _changed(outside: Outside, chosen: Iterable[Variation]) -> tuple[Outside, list[Varied]]:
    obstacles = {}
    for variation in chosen:
        if reason := variation.obstacle(outside):
            obstacles[variation.name] = reason
        else:
            outside = variation.apply(outside)
    return outside, _settings(chosen, obstacles)


def _settings(chosen: Iterable[Variation], obstacles: Mapping[str, str] | None = None) -> list[Varied]:
    found, second = [], {variation.name for variation in chosen}
    for variation in VARIATIONS:
        if reason := (obstacles or {}).get(variation.name):
            found.append(Varied(variation.name, reason, skipped=True))
        else:
            found.append(Varied(variation.name, variation.second if variation.name in second else variation.first))
    return found
