"""Images: assembled from locked packages without a daemon, pushed and verified with their digests kept."""
