"""The sandbox: one build step in bubblewrap, on a pinned root, with no network and nothing of the host."""

from millcert.sandbox.bubblewrap import Bubblewrap
from millcert.sandbox.model import Mount, Outcome, Sandbox, Step
from millcert.sandbox.view import arguments

__all__ = ["Bubblewrap", "Mount", "Outcome", "Sandbox", "Step", "arguments"]
