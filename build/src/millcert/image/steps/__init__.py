"""Programs that the sandbox runs to make image layers; nothing of millcert is imported there."""
