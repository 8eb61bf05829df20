"""How exact results are asked to be.

``deterministic``: what `use_deterministic_algorithms` was told: 0 nothing, 1 to warn, 2 to refuse. ``matmul``:
"highest" keeps products of float32 in float32; "high" and "medium" let a GPU round their factors to TF32 and bfloat16.
"""

__all__ = ["deterministic", "matmul"]

deterministic = 0
matmul = "highest"
