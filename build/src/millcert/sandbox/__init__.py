"""The sandbox: one build step in bubblewrap, on a pinned root, with no network and nothing of the host."""

from millcert.sandbox.bubblewrap import Bubblewrap, arguments
from millcert.sandbox.model import Mount, Outcome, Sandbox, Step

__all__ = ["Bubblewrap", "Mount", "Outcome", "Sandbox", "Step", "arguments"]
