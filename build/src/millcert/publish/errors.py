"""Why a publication was refused; in every case the index is as it was before."""

from __future__ import annotations

from millcert.errors import PublishError

__all__ = [
    "BusyError",
    "DependencyError",
    "LostRaceError",
    "NameTakenError",
    "ReleaseRefusedError",
    "SiteStateError",
]


class BusyError(PublishError):
    """Another publisher on this machine holds the index."""


class LostRaceError(PublishError):
    """Another publisher was quicker; running again continues from its state."""


class NameTakenError(PublishError):
    """A file name was published, or claimed, with other bytes: names are immutable."""


class ReleaseRefusedError(PublishError):
    """A wheel or a file beside it is not what may be published on this index."""


class DependencyError(PublishError):
    """A requirement is neither owned nor locked by hash: installing it could reach another index."""


class SiteStateError(PublishError):
    """The published state does not verify from the trusted root: it is damaged, or somebody altered it."""
