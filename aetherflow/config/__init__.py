"""Configuration: settings, environment snapshot, profiles, the secrets provider and resolved resources."""
