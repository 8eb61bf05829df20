"""``millcert serve``: a verifying index on this machine, for pip, uv and other tools."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from millcert.cli.console import messages
from millcert.cli.install import (
    anchor_of,
    http_source,
    index_url_option,
    open_state,
    silent,
    trust_options,
    verifier_of,
)

if TYPE_CHECKING:
    from millcert.install.client import VerifiedIndex

__all__ = ["commands"]


@click.command("serve")
@click.argument("projects", nargs=-1, required=True, metavar="PROJECT...")
@index_url_option
@click.option("--port", type=click.IntRange(0, 65535), default=8471, help="On loopback; 0 takes a free one.")
@trust_options
def serve_command(
    projects: tuple[str, ...], index_url: str | None, port: int, root_path: Path | None, policy_path: Path | None,
    builders: int | None, trusted_root: Path | None, trust_config: Path | None, state_path: Path | None,
) -> None:  # fmt: skip
    """Serve a signed index on this machine: PROJECTs only with attestations, all others only as their locks say.

    \b
    Then, in another terminal:
      pip install --pre --index-url http://127.0.0.1:8471/nightly/cpu/ wootz
      uv pip install --prerelease allow --default-index http://127.0.0.1:8471/nightly/cpu/ wootz
    """
    from millcert.install.installer import open_index
    from millcert.install.proxy import Gate, serve
    from millcert.names import normalize

    anchor, state, source = anchor_of(root_path), open_state(state_path), http_source(index_url)
    verifier, _ = verifier_of(policy_path, builders, trusted_root, trust_config)

    def refresh() -> VerifiedIndex:
        return open_index(source, anchor, state, datetime.now(UTC))

    refresh()
    gate = Gate(refresh, verifier, state, frozenset(normalize(project) for project in projects), silent)
    with serve(gate, port, lambda line: messages().print(line, markup=False)) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        messages().print(f"serving {', '.join(projects)} on {address}", markup=False)
        server.serve_forever()


commands: list[click.Command] = [serve_command]
