"""The signed index: from built, signed wheels to a static tree that pip, uv and TUF clients read.

``artifact``     a wheel and the files beside it, checked      ``closure``     every requirement is owned or locked
``page``         PEP 691 JSON                                  ``html``        the same page for older clients
``thirdparty``   what the lock names                           ``release``     what we built
``plan``         files and pages of one change                 ``publication`` the verbs: publish, yank, status, refresh
``state``        what is in force, verified                    ``switch``      putting a draft into force
``views``        what clients without TUF read, derived        ``overview``    what is in force, for people
``ceremony``     drafts that change keys and roles             ``site``        the tree, written once or by rename
"""

from millcert.publish.artifact import Artifact, Builder, Verifier, read_artifact
from millcert.publish.errors import (
    BusyError,
    DependencyError,
    LostRaceError,
    NameTakenError,
    ReleaseRefusedError,
    SiteStateError,
)
from millcert.publish.page import Page, PageFile, page_path, parse_page
from millcert.publish.publication import Outcome, Publisher, Request
from millcert.publish.site import FolderSite, Site
from millcert.publish.state import State, load_state
from millcert.publish.switch import commit
from millcert.publish.views import finish_views, write_all_views

__all__ = [
    "Artifact",
    "Builder",
    "BusyError",
    "DependencyError",
    "FolderSite",
    "LostRaceError",
    "NameTakenError",
    "Outcome",
    "Page",
    "PageFile",
    "Publisher",
    "ReleaseRefusedError",
    "Request",
    "Site",
    "SiteStateError",
    "State",
    "Verifier",
    "commit",
    "finish_views",
    "load_state",
    "page_path",
    "parse_page",
    "read_artifact",
    "write_all_views",
]
