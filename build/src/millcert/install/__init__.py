"""The verifying installer: a signed index to an environment, every step proven before pip sees a file."""
