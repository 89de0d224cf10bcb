"""The state database (SQLite): runs, firings, leases and pools."""
