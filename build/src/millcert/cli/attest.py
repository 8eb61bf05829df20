"""``millcert sign`` and ``millcert verify``: bundles for wheels, and files held against their bundles."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from millcert.cli.console import emit_json, fail, json_option, messages, results
from millcert.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from millcert.attest.policy import Policy
    from millcert.attest.sign import Signed, SignStatement
    from millcert.attest.trust import TrustRoot
    from millcert.attest.verify import Verdict

__all__ = ["commands", "policy_from_options", "trust_config_option", "trust_root_from_options"]

_FILE = click.Path(path_type=Path, dir_okay=False)

trust_config_option = click.option(
    "--trust-config", type=_FILE, metavar="FILE",
    help="A Sigstore client trust configuration: another instance than the public-good one.",
)  # fmt: skip


@click.command("sign")
@click.argument("files", nargs=-1, required=True, type=_FILE)
@trust_config_option
@click.option(
    "--identity-token", envvar="SIGSTORE_IDENTITY_TOKEN", metavar="TOKEN",
    help="Sign as this OIDC identity (default: the CI job's own, else log in through a browser).",
)  # fmt: skip
@click.option(
    "--builder", default="", metavar="LABEL", help="Write NAME.LABEL.sigstore.json: a further builder's bundle."
)
@click.option("--force", is_flag=True, help="Sign again what is signed already.")
@json_option
def sign_command(
    files: tuple[Path, ...], trust_config: Path | None, identity_token: str | None, builder: str, force: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Sign the provenance of wheels: for each FILE, FILE.provenance.json becomes FILE.sigstore.json.

    Wheels are checked against their statements first; one from a dirty tree, or one whose bytes changed, is
    refused before anybody logs in. What is signed already is skipped, so a run that was cut off continues.

    \b
    Examples:
      millcert sign dist/*.whl                                 as yourself, on public-good Sigstore
      millcert sign dist/*.whl --trust-config instance.json    on another instance
    """
    from millcert.attest.sign import prepare, session, sign

    root = trust_root_from_options(None, trust_config)
    requests = [prepare(path, builder=builder) for path in files]
    config = trust_config.read_bytes() if trust_config else None

    @contextlib.contextmanager
    def open_session() -> Iterator[SignStatement]:
        messages().print(f"signing with {root.source}", markup=False)
        with session(config, token=identity_token, interactive=sys.stdin.isatty()) as signer:
            yield signer

    done = []
    for signed in sign(requests, root, open_session, force=force):
        messages().print(f"{signed.outcome}: {signed.path.name}", markup=False)
        done.append(signed)
    if as_json:
        emit_json({"signed": [signed.as_dict() for signed in done]})
        return
    _print_signed(done)


@click.command("verify")
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option(
    "--policy", "policy_path", type=_FILE, metavar="FILE", help="Who may sign what: a policy in TOML or JSON."
)
@click.option(
    "--identity", "identities", multiple=True, metavar="NAME", help="Without a policy: who signed (repeatable)."
)
@click.option("--issuer", metavar="URL", help="Without a policy: who vouched for the identity.")
@click.option(
    "--builders", type=click.IntRange(1), metavar="K", help="How many distinct builders must attest the digest."
)
@click.option(
    "--trusted-root", type=_FILE, metavar="FILE",
    help="The authorities and logs to believe (default: those of public-good Sigstore, as shipped).",
)  # fmt: skip
@trust_config_option
@click.option(
    "--bundle", "bundles", multiple=True, type=_FILE, metavar="FILE",
    help="A bundle to use (repeatable; default: those beside each file).",
)  # fmt: skip
@click.option("--evidence", is_flag=True, help="Print every step and what it found.")
@json_option
def verify_command(
    files: tuple[Path, ...], policy_path: Path | None, identities: tuple[str, ...], issuer: str | None,
    builders: int | None, trusted_root: Path | None, trust_config: Path | None, bundles: tuple[Path, ...],
    evidence: bool, as_json: bool,
) -> None:  # fmt: skip
    """Check FILES against their Sigstore bundles: offline, and only against what you name.

    Every file is checked even if one is refused; the exit code is that of the first refusal.

    \b
    Examples:
      millcert verify dist/*.whl --policy policy.toml
      millcert verify a.whl --identity me@example.org --issuer https://accounts.example.org --evidence
      millcert verify a.whl --policy policy.toml --builders 2
    """
    from millcert.attest.verify import Verifier

    if bundles and len(files) != 1:
        raise UsageError("--bundle is for one file", files=len(files), fix="verify the files one at a time")
    policy = policy_from_options(policy_path, identities, issuer, builders)
    verifier = Verifier(trust_root_from_options(trusted_root, trust_config), policy)
    verdicts = list(verifier.verdicts(files, bundles))
    if as_json:
        emit_json({"verdicts": [verdict.as_dict() for verdict in verdicts]})
    else:
        _print_verdicts(verdicts, evidence=evidence)
    refusals = [verdict.error for verdict in verdicts if verdict.error is not None]
    for refusal in refusals:
        fail(refusal, as_json=False)
    if refusals:
        sys.exit(refusals[0].exit_code)


def trust_root_from_options(trusted_root: Path | None, trust_config: Path | None) -> TrustRoot:
    """The root that --trusted-root or --trust-config name, else public-good Sigstore's as shipped."""
    from millcert.attest.trust import public_good, read_trust_config, read_trusted_root

    if trusted_root and trust_config:
        raise UsageError("--trusted-root and --trust-config both name a root", fix="give one of them")
    if trusted_root:
        return read_trusted_root(trusted_root)
    return read_trust_config(trust_config) if trust_config else public_good()


def policy_from_options(
    path: Path | None, identities: Sequence[str], issuer: str | None, builders: int | None
) -> Policy:
    from millcert.attest.policy import BuilderRule, Policy, parse_policy

    if path is not None and (identities or issuer):
        raise UsageError("--policy already says who may sign", fix="drop --identity and --issuer, or drop --policy")
    if path is None and not (identities and issuer):
        raise UsageError(
            "whose signature should this be? A bundle proves who signed, not that they may",
            fix="give --policy FILE, or both --identity NAME and --issuer URL",
        )
    if path is not None:
        try:
            policy = parse_policy(path.read_bytes())
        except OSError as error:
            raise ConfigError("the policy cannot be read", file=path, reason=error.strerror) from error
    else:
        policy = Policy(
            tuple(BuilderRule(issuer=issuer or "", identity=identity) for identity in dict.fromkeys(identities))
        )
    return dataclasses.replace(policy, builders=builders) if builders else policy


def _print_signed(done: Sequence[Signed]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("file", "outcome", "identity", "log index"):
        table.add_column(column, overflow="fold")
    for signed in done:
        row = (signed.path.name, signed.outcome, signed.identity, str(signed.log_index))
        table.add_row(*map(Text, row))
    results().print(table)


def _print_verdicts(verdicts: Sequence[Verdict], *, evidence: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("", "file", "sha256", "builders"):
        table.add_column(column, overflow="fold")
    for verdict in verdicts:
        state = Text("refused", style="bold red") if verdict.error else Text("verified", style="green")
        count = f"{verdict.builders} of {verdict.demanded}"
        table.add_row(state, Text(verdict.path.name), Text(verdict.digest or ""), Text(count))
    results().print(table)
    for verdict in verdicts if evidence else ():
        _print_evidence(verdict)


def _print_evidence(verdict: Verdict) -> None:
    for attestation in verdict.attestations:
        results().print(f"\n{verdict.path.name}: {attestation.bundle}", markup=False, style="bold")
        for number, (check, found) in enumerate(attestation.steps, 1):
            results().print(f"{number:3} {check}: {found}", markup=False)
    for bundle, reason in verdict.not_counted:
        results().print(f"not counted: {bundle}: {reason}", markup=False)
    results().print(f" 11 quorum: {verdict.builders} of {verdict.demanded} distinct builders agree", markup=False)


commands: list[click.Command] = [sign_command, verify_command]
