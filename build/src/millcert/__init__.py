"""millcert: hermetic builds, signatures and a verified index for native Python packages."""

__all__ = ["__version__"]

__version__ = "0.1.0"
