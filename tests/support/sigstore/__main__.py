"""``python -m tests.support.sigstore FOLDER``: run the test instance until Ctrl-C.

Writes into FOLDER: ``trust_config.json`` (Rekor v1), ``trust_config_v2.json`` (Rekor v2), ``trusted_root.json``
and ``token`` (an identity token of a made-up nightly workflow, valid for ten minutes unless told otherwise).
"""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from tests.support.sigstore.oidc import email_claims, workflow_claims
from tests.support.sigstore.server import Server


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A Sigstore TEST INSTANCE on loopback. Trust nothing it signs.")
    parser.add_argument("folder", type=Path, help="where the trust files and the token are written")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--email", help="make the token for this e-mail address instead of a workflow")
    parser.add_argument("--token-lifetime", type=int, default=600, metavar="SECONDS")
    options = parser.parse_args()
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    signal.signal(signal.SIGINT, lambda *_: done.set())
    with Server(options.port) as server:
        instance, folder = server.instance, options.folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "trusted_root.json").write_bytes(instance.trusted_root_json())
        (folder / "trust_config.json").write_bytes(instance.trust_config_json())
        (folder / "trust_config_v2.json").write_bytes(instance.trust_config_json(rekor=2))
        claims = email_claims(options.email) if options.email else workflow_claims()
        (folder / "token").write_text(instance.issuer.token(claims, lifetime=options.token_lifetime))
        print(f"TEST INSTANCE, trust nothing it signs: {server.url}", flush=True)
        done.wait()


if __name__ == "__main__":
    main()
