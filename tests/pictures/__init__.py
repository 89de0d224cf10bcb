"""Take the pictures of the README from real runs in a real terminal: `just record`."""
