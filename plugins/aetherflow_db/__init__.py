"""The database plugin: connectors `db:*` and the steps that read through them."""
