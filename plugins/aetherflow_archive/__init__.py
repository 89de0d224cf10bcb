"""The archive plugin: connectors `archive:*` and the steps `zip` and `unzip`."""
