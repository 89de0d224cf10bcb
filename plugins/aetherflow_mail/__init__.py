"""The mail plugin: the connector `mail:smtp` and the step `mail_send`."""
