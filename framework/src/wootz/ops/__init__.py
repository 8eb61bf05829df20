"""Ops in Python: creation, random numbers, and composites over the core's primitives."""
