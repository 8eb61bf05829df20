from sample._native import answer, total

__all__ = ["answer", "total"]
