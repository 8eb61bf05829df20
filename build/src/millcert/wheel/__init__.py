"""Wheels: their metadata and SBOM, and how they reach dist/."""
