"""Execute one run from request to report, and many runs side by side in one process."""
