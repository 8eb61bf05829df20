"""The ``millcert`` command: the only layer that prints, reads the command line or exits."""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Sequence

import click

from millcert import __version__
from millcert.cli.console import fail
from millcert.errors import DiskFullError, MillcertError

__all__ = ["main"]

# command → the module that holds it; modules are imported only when their command is used, so that help is quick
_COMMANDS = {
    "build": ("build", "Build the wheels of some variants hermetically"),
    "ci": ("ci", "Write the CI matrix from targets.toml"),
    "explain": ("install", "Say why an installed project, or a wheel, was believed"),
    "fetch": ("lock", "Bring every locked file into the store, each checked against its hash"),
    "guard": ("guard", "Find and prevent dependency confusion"),
    "image": ("image", "Assemble, push, verify and explain the training images"),
    "index": ("publish", "Look after a published index: yank, status, refresh"),
    "install": ("install", "Install from a signed index, everything proven first"),
    "keys": ("keys", "Hold the ceremonies of the index's keys: create, rotate, revoke, expire"),
    "kit": ("kit", "Carry an installation to machines without a network"),
    "lock": ("lock", "Resolve requirements to files and write them down by hash"),
    "publish": ("publish", "Publish signed wheels to a static, signed index"),
    "rebuild": ("rebuild", "Build a wheel again from what its provenance names, and compare"),
    "repro": ("repro", "Build again from nothing elsewhere and compare every byte"),
    "sandbox": ("sandbox", "Look into the sandbox that builds run in"),
    "serve": ("serve", "A verifying index on this machine, for pip and uv"),
    "sign": ("attest", "Sign wheels and their provenance with Sigstore"),
    "store": ("store", "Look after the store: garbage, checks, kits"),
    "verify": ("attest", "Check wheels against their bundles, offline"),
}


class _Commands(click.Group):
    """Commands by name, their modules imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        commands: list[click.Command] = importlib.import_module(f"millcert.cli.{_COMMANDS[cmd_name][0]}").commands
        return next(command for command in commands if command.name == cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="millcert")
def _millcert() -> None:
    """Build native Python packages hermetically, sign them, publish and verify them.

    Exit codes: 0 done; 2 wrong usage; 3 wrong project files; 4 lock; 5 fetch; 6 hash mismatch; 7 store;
    8 disk full; 9 no sandbox; 10 build failed; 11 limit reached; 12 not reproducible; 13 unsafe archive;
    14 verification refused; 15 dependency confusion; 16 publication refused; 17 not signed; 18 key refused;
    19 ceremony refused; 20 no Python environment to install into; 130 interrupted.
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the code of its outcome."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _millcert.main(arguments, prog_name="millcert", standalone_mode=False)
    except MillcertError as error:
        fail(error, as_json="--json" in arguments)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        full = DiskFullError("no space is left where this writes", file=error.filename, fix="free some space")
        fail(full, as_json=False)
        sys.exit(full.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except (KeyboardInterrupt, click.Abort):
        print("interrupted; nothing half-written was left, and the same command continues", file=sys.stderr)
        sys.exit(130)
