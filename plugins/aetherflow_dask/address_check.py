"""Whether others on the network could give work to a cluster, by its address alone."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from aetherflow import CheckResult
from aetherflow_dask.options import DaskOptions


def address_checks(options: DaskOptions) -> Iterator[CheckResult]:
    """Yield a warning for a cluster that anybody may use who reaches its address."""
    protocol, _, rest = options.address.partition("://")
    if not options.address or protocol in ("tls", "wss") or options.security is not None:
        return
    host = rest.rpartition(":")[0] or rest
    if not _is_loopback(host.strip("[]")):
        yield CheckResult(
            "security",
            "warning",
            f"{options.address} has no security: everybody who reaches that address can run programs there",
            "give the cluster certificates, and name them: security: {ca: FILE, cert: FILE, key: FILE}",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
