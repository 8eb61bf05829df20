"""The hermetic model: everything that is built is a derivation, and the list of its inputs is its provenance."""
