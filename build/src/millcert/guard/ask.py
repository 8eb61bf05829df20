"""Asking indexes about a project: present, absent or unavailable, over the index client's transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from millcert.errors import FetchError
from millcert.guard.address import Address, parse_address
from millcert.guard.policy import Answer, Presence
from millcert.index import AbsentError, ClientConfiguration, ProjectPage, Transport, parse_page
from millcert.index.page import ACCEPT
from millcert.names import NormalizedName

__all__ = ["Asker", "known_addresses", "versions_of"]

_PAGE_LIMIT = 64 << 20


class Asker:
    """Callable on an address and a name; every answer is asked for once."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._answers: dict[tuple[str, NormalizedName], Answer] = {}

    def __call__(self, address: Address, name: NormalizedName) -> Answer:
        """What an index says of a project."""
        key = (address.shown, name)
        if key not in self._answers:
            self._answers[key] = self._ask(address, name)
        return self._answers[key]

    def _ask(self, address: Address, name: NormalizedName) -> Answer:
        if address.scheme not in ("http", "https"):
            return Answer(Presence.UNAVAILABLE, reason="not an index on a server")
        try:
            data, kind, final = self._transport.read(
                f"{address.shown.rstrip('/')}/{name}/", accept=ACCEPT, limit=_PAGE_LIMIT
            )
            page = parse_page(data, kind, name=name, index=address.shown, address=final)
        except AbsentError:
            return Answer(Presence.ABSENT)
        except FetchError as error:
            return Answer(Presence.UNAVAILABLE, reason=error.message)
        return Answer(Presence.PRESENT, versions_of(page), tells=page.tells, reservation=page.reservation)


def versions_of(page: ProjectPage) -> tuple[str, ...]:
    """The versions that a page's files are of, in ascending order."""
    found: set[Version] = set()
    for file in page.files:
        parse: Callable[[str], tuple[object, ...]] = (
            parse_wheel_filename if file.filename.endswith(".whl") else parse_sdist_filename
        )
        try:
            version = parse(file.filename)[1]
        except (InvalidWheelFilename, InvalidSdistFilename):
            continue  # what no installer accepts
        assert isinstance(version, Version)
        found.add(version)
    return tuple(str(version) for version in sorted(found))


def known_addresses(
    configuration: ClientConfiguration, upstream: str, given: Mapping[str, list[str]]
) -> dict[str, list[Address]]:
    """Where each named index is: the upstream one, ``MILLCERT_INDEX_*`` variables, and what was given beside them."""
    prefix = "MILLCERT_INDEX_"
    found = {upstream: [parse_address(configuration.upstream)]}
    for variable, value in sorted(configuration.environ.items()):
        if variable.startswith(prefix) and value:
            name = variable.removeprefix(prefix).lower().replace("_", "-")
            found.setdefault(name, []).append(parse_address(value))
    for name, addresses in given.items():
        found[name] = [*(parse_address(address) for address in addresses), *found.get(name, [])]
    return found
