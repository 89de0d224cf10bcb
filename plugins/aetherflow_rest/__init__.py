"""The HTTP plugin: the connector `rest:httpx`, the step `rest_request`, and bundles from a web server."""
