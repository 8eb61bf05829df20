"""``python -m millcert``: the same as the ``millcert`` command."""

from millcert.cli import main

main()
