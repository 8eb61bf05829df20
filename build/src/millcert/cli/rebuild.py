"""``millcert rebuild``: be one more builder of a published wheel, and say what came out."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from millcert.cli.build import store_option
from millcert.cli.console import emit_json, json_option, messages, results
from millcert.errors import NotReproducibleError, UsageError

if TYPE_CHECKING:
    from millcert.model import Digest
    from millcert.rebuild.witness import Testimony
    from millcert.wheel.project import Project

__all__ = ["commands"]

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command("rebuild")
@click.argument("wheel", type=_FILE)
@click.option("--provenance", type=_FILE, help="The statement to follow (default: WHEEL.provenance.json).")
@click.option(
    "--repository", default="", metavar="URL-OR-DIR",
    help="Where the commit can be had (default: what the provenance names).",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), default=Path("rebuilt"), show_default=True,
    help="Where the rebuilt wheel and the statement about it go.",
)  # fmt: skip
@click.option("--builder-id", default="urn:millcert:builder:witness", show_default=True, help="Who rebuilds (a URI).")
@click.option(
    "--reuse",
    "reused",
    multiple=True,
    metavar="STEP",
    help="Take this step's output from the store, unproven (repeatable).",
)
@store_option
@json_option
def rebuild_command(
    wheel: Path, provenance: Path | None, repository: str, output: Path, builder_id: str, reused: Sequence[str],
    store_root: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Build WHEEL again from the commit and inputs that its provenance names, and compare.

    The rebuilt wheel and an unsigned statement about it are written either way: a builder says what it got. Exit code
    12 where that is not the published wheel.

    \b
    Examples:
      millcert rebuild a.whl --builder-id https://example.org/builders/second
      millcert sign rebuilt/a.whl --builder second
      millcert verify a.whl --bundle a.whl.sigstore.json --bundle rebuilt/a.whl.second.sigstore.json --builders 2 ...
    """
    from millcert.rebuild.witness import read_claim, testify
    from millcert.store import Store, default_root

    statement = provenance or wheel.with_name(f"{wheel.name}.provenance.json")
    if not statement.is_file():
        raise UsageError("the wheel has no provenance beside it", expected=statement, fix="give --provenance FILE")
    claim = read_claim(wheel, statement.read_bytes())
    source = repository or claim.repository
    if not source:
        raise UsageError(
            "the provenance names no address of its sources", commit=claim.commit, fix="give --repository URL-OR-DIR"
        )
    store = Store(store_root or default_root(os.environ))

    def fetch(project: Project, variant: str) -> Sequence[Digest]:
        from millcert.cli.progress import FetchProgress

        with FetchProgress() as fetching:
            return project.fetch(store, project.variants([variant]), fetching).digests()

    messages().print(f"rebuilding {wheel.name} from commit {claim.commit[:12]} of {source}", markup=False)
    with tempfile.TemporaryDirectory(prefix="millcert-rebuild-") as scratch:
        testimony = testify(claim, source, store, fetch, builder_id, Path(scratch), reused)
        output.mkdir(parents=True, exist_ok=True)
        for name in testimony.run.files:
            shutil.copyfile(testimony.run.dist / name, output / name)
    _report(testimony, output, as_json)


def _report(testimony: Testimony, output: Path, as_json: bool) -> None:
    claim = testimony.claim
    if as_json:
        emit_json({
            "file": claim.wheel.name, "published": claim.digest, "rebuilt": testimony.digest,
            "identical": testimony.agrees, "first_difference": testimony.cause, "output": str(output),
        })  # fmt: skip
    else:
        results().print(f"published  {claim.digest}\nrebuilt    {testimony.digest}", markup=False)
    if not testimony.agrees:
        raise NotReproducibleError(
            "the rebuild is not the published wheel", file=claim.wheel.name, published=claim.digest,
            rebuilt=testimony.digest, first_difference=testimony.cause, kept=output,
            published_with_millcert=claim.tool, fix="do not install it before somebody can say why",
        )  # fmt: skip
    if not as_json:
        results().print(
            f"identical; sign what you saw: millcert sign {output / claim.wheel.name} --builder NAME", markup=False
        )


commands: list[click.Command] = [rebuild_command]
