"""The words that the forms of secrets have: the fast search looks for them, and what is around is read."""

from __future__ import annotations

NAMES = ("pass", "secret", "token", "pwd", "auth", "key", "cred", "cookie", "jwt", "sig")
"""Every name that a form can have contains one of these."""

PROGRAMS = (
    "curl",
    "mysql",
    "mariadb",
    "sshpass",
    "redis-cli",
    "ldap",
    "sqlcmd",
    "bcp",
    "smbclient",
    "zip",
    "7z",
    "docker",
    "podman",
    "openssl",
)
"""Programs whose command lines may hold a password."""

BESIDE_WORDS = {
    "identified": r"identified\s+by\s+'(?P<value>(?:[^'\n]|'')+)'",
    'identified by "': r"identified by \"(?P<value>[^\"\n]+)\"",
    "password": r"password\s+'(?P<value>(?:[^'\n]|'')+)'",
    "bearer": r"bearer[ \t]+(?P<value>(?=[a-z\-_.~+/]*[\d.])[\w\-.~+/]{12,}=*)",
}
"""Words that a secret follows, each with its form; `re` compiles a text at its first use and keeps it."""
