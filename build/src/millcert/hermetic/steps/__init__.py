"""Programs that run inside the sandbox: standard library only, on the pinned Python, nothing of millcert imported."""
