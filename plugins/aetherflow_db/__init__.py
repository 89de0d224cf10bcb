"""The database plugin: connectors `db:*`, and the steps that extract, load, execute and check."""
