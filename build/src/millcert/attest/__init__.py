"""Attestations: who built these bytes from what, signed so that anybody can check it offline.

``statement``  in-toto statements with SLSA provenance: written canonically, read as hostile
``policy``     what a verifier demands, as data; pure functions that answer with reasons
``claims``     what a Fulcio certificate says about who asked for it
``trust``      the trusted root: shipped bytes or an explicit file, never a cache
``sign``       wheel and unsigned statement → Sigstore bundle beside the wheel
``verify``     file and bundles → evidence, or an error that says which check refused and why

Only this package imports sigstore, and only inside functions, so that importing it stays cheap.
"""

from millcert.attest.policy import BuilderRule, Policy, parse_policy
from millcert.attest.statement import BuildDefinition, Dependency, Statement, Subject, parse_statement, provenance

__all__ = [
    "BuildDefinition",
    "BuilderRule",
    "Dependency",
    "Policy",
    "Statement",
    "Subject",
    "parse_policy",
    "parse_statement",
    "provenance",
]
