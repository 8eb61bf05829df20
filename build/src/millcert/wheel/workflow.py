"""The CI matrix: a workflow for GitHub Actions with one runner a variant, made from targets.toml."""

from __future__ import annotations

import re

from millcert.errors import ConfigError
from millcert.targets import Targets

__all__ = ["PATH", "render_workflow"]

PATH = ".github/workflows/build.yml"

# actions by the commit of the release named beside them: a tag can be moved
_CHECKOUT = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2"
_UPLOAD = "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2"
_DOWNLOAD = "actions/download-artifact@d3f86a106a0bac45b974a628896c90dbdf5c8093 # v4.3.0"

_NAME = re.compile(r"[a-z][a-z0-9_]*")

_HEAD = """\
# Made by `millcert ci` from ci/targets.toml; a test says when it is out of date.
name: build

on:
  push:
    branches: [main]
    tags: ["v*"]
  pull_request:
  workflow_dispatch:

permissions:
  contents: read

jobs:
  wheels:
    strategy:
      fail-fast: false
      matrix:
        variant: [{variants}]
    runs-on: ubuntu-24.04
    timeout-minutes: 60
    steps:
      - uses: {checkout}
        with:
          persist-credentials: false
      - name: Allow user namespaces, which the sandbox is made of
        run: sudo sysctl --write kernel.apparmor_restrict_unprivileged_userns=0
      - name: Install bubblewrap
        run: sudo apt-get update && sudo apt-get install --yes --no-install-recommends bubblewrap
      - name: Build
        run: ci/nox -s build_wheels -- "${{{{ matrix.variant }}}}"
      - uses: {upload}
        with:
          name: wheels-${{{{ matrix.variant }}}}
          path: dist/
          if-no-files-found: error

  all:
    needs: wheels
    runs-on: ubuntu-24.04
    timeout-minutes: 10
    steps:
      - uses: {download}
        with:
          pattern: wheels-*
          merge-multiple: true
          path: dist
      - name: Hold the wheels against the {count} that targets.toml names
        run: |
          cd dist
          sha256sum *.whl | tee SHA256SUMS
          test "$(grep --count . SHA256SUMS)" -eq {count}
      - uses: {upload}
        with:
          name: wheels
          path: dist/
          if-no-files-found: error
"""


def render_workflow(targets: Targets) -> str:
    """The workflow's text; ConfigError for a variant whose name could not stand in a command."""
    for name in targets.variants:
        if not _NAME.fullmatch(name):
            raise ConfigError("a variant's name goes into commands of the workflow", found=name, expected=_NAME.pattern)
    count = sum(len(variant.architectures) for variant in targets.variants.values())
    return _HEAD.format(
        variants=", ".join(targets.variants), count=count, checkout=_CHECKOUT, upload=_UPLOAD, download=_DOWNLOAD
    )
