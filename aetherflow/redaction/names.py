"""Decide whether a key or variable is named like a secret (manual, page `secrets`).

A name is read as words: `clientSecret`, `CLIENT_SECRET` and `client-secret` are `client secret`. It names a
secret if it has a word for one (password, token, secret ...) or a key of a kind that is secret (`api key`,
not `primary key`), and no word around it says that it is something else: a property of a secret
(`PASSWORD_MIN_LENGTH`, `SECRET_NAME`), a choice (`REQUIRE_PASSWORD`), or an amount (`MAX_TOKENS`).
"""

from __future__ import annotations

import re
from functools import lru_cache


def words(text: str) -> frozenset[str]:
    """Return the words of a list."""
    return frozenset(text.split())


_SECRET = words(
    "password passwords passwd pass passphrase passphrases passcode secret secrets token tokens"
    " credential credentials cred creds authorization bearer jwt apikey apikeys apitoken authtoken"
    " accesstoken csrftoken xsrftoken secretkey accesskey privatekey authkey"
)
_ENDINGS = re.compile(
    "(?:password|passwd|passphrase|secret|token|(?:api|access|secret|private|instrumentation)key)s?$"
    "|(?:bind|root|user|admin|db)pw$"
)
"""Words without a separator: PGPASSWORD, rootpasswd, clientsecret, authtoken."""

_SECRET_KEYS = words(
    "access account admin aes age api app application auth authentication authorization cookie crypto"
    " deploy encrypt encryption enc fernet functions gpg hmac instrumentation jwt ldap license master nonce"
    " pgp private recovery rsa secret session shared sign signing sops token unseal webhook"
)
"""What is before `key` in the name of a secret one; not `primary`, `public`, or what a table has a key of."""

_AFTER_OTHERS = {
    "pwd": frozenset[str](),  # alone it is the working directory
    "pw": frozenset[str](),
    "psk": frozenset[str](),
    "salt": frozenset[str](),
    "auth": frozenset({"basic", "http", "registry", "npm", "proxy", "redis", "rediscli"}),
    "pin": frozenset({"card", "user", "so", "hsm", "login", "account", "smartcard"}),  # a map has pins too
    "cookie": frozenset({"erlang", "session", "auth", "set", "login"}),
}
"""Words that name a secret only after another word: any, or one of these."""

_WHOLE = frozenset({"cookie", "set-cookie", "_auth", "requirepass", "masterauth", "pkey"})
"""Names that are secrets only as they are: headers, and settings of npm, Redis and resources of kind sftp."""

_NOT_BEFORE = words(
    "require requires required allow allows allowed enable enables enabled disable disables disabled use"
    " uses using has have is no needs need skip ask asks show hide force empty without ignore forgot"
    " forget lost generate generated random can should must supports change prompt expire expired public"
    " publishable existing invalid missing wrong failed max min automount"
)
"""Somewhere before the secret: a choice about it, or a name for it."""

_NOT_JUST_BEFORE = {
    "token": words(
        "num n number total count prompt completion input output cached reasoning used stop bos eos pad"
        " unk sep cls mask special next previous prev continuation page start sync resume cancellation"
        " cancel fencing context remaining spent billable thinking tokens"
    ),
    "secret": words("k8s kubernetes tls pull"),
    "password": words("reset update reveal"),
    "pass": words("by first second last render multi single one two all boarding"),
    "credential": words("allow with include cors same"),
}

_NOT_AFTER = words(
    # how long, how many, how strong
    "length len min max minimum maximum size sizes count counts number limit limits limiter threshold"
    " quota budget usage used uses num shares cost rate bits bytes chars characters digits symbols letters"
    " entropy iterations rounds strength complexity score attempts retries tries history reuse amount"
    " price per"
    # how long it lives
    " ttl age expiry expires expire expiration expired exp lifetime life lifespan duration validity valid"
    " seconds secs minutes hours days weeks ms timeout interval period window grace leeway refresh"
    " rotation rotate rotated renewal renew at date time timestamp created updated changed issued last"
    " since until"
    # what is done with it
    " policy policies rule rules regex pattern format type types kind mode method methods algorithm alg"
    " algo hasher hashers hashing validator validators validation validate verification check checker"
    " checks strategy required require optional enabled enable disabled disable allowed allow configured"
    " present exists set needed protected supported ignored forbidden verified secure httponly samesite"
    " domain encryption status state version reset resets recovery change login auth authentication"
    " protection prompt encoding charset classes through"
    # where it is, who has it, what it is called
    " fd file files filename filepath path paths dir directory folder location loc url urls uri uris endpoint"
    " host hostname port provider providers backend engine store manager vault mount volume volumes"
    " namespace module class plugin driver handler factory middleware command cmd script program"
    " helper exec source bucket region group role roles"
    " name names alias label title hint question description comment"
    " note notes field fields column columns attribute attr header headers prefix suffix param parameter"
    " arg option options var variable variables env ref reference arn id ids uuid kid index table page"
    " template view form link email user username owner audience issuer scope scopes scoped realm claim"
    " claims grant grants config configuration settings setting properties cache key keys"
    # what has to do with tokens of a text, or of a page
    " tokenizer counter stream embedding embeddings placeholder symbol address contract standard"
)
"""Somewhere after the secret: a property of it, a place, a name."""

_KNOWN_SECRETS = re.compile(
    r"(?:vault|approle) secret id$|azure storage key$|logged in key$|auth user info$"
    r"|service role key$|apim subscription key$|client key data$"
)
_KNOWN_OTHERS = re.compile(r"google application credentials$")  # it is a path
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")
_WORD = re.compile(r"[^\W_]+")
_LONGEST = 200


@lru_cache(maxsize=8192)
def names_a_secret(key: str) -> bool:
    """Whether a key is named like a secret: password, token, api_key, DB_PASSWORD, clientSecret ..."""
    if len(key) > _LONGEST:  # no name
        return False
    if key.lower() in _WHOLE:
        return True
    parts = [word.lower() for word in _WORD.findall(_CAMEL.sub("_", key))]
    joined = " ".join(parts)
    if _KNOWN_SECRETS.search(joined) or _KNOWN_OTHERS.search(joined):
        return _KNOWN_SECRETS.search(joined) is not None
    for at in reversed(range(len(parts))):
        if kind := _kind(parts, at):
            before, after = parts[:at], parts[at + 1 :]
            return not (
                _NOT_BEFORE.intersection(before)
                or _NOT_AFTER.intersection(after)
                or (before and before[-1] in _NOT_JUST_BEFORE.get(kind, ()))
            )
    return False


def counts(name: str) -> bool:
    """Whether a number under this name is a count of secrets, or of words: `tokens: 1523`."""
    return name[-1:] in "sS" and name[-2:].lower() != "ss"


def _kind(parts: list[str], at: int) -> str:
    """Return what kind of secret the word at this place names, "" if it names none."""
    word, before = (parts[n].rstrip("0123456789") if n >= 0 else "" for n in (at, at - 1))
    if word in ("key", "keys"):
        return "key" if before in _SECRET_KEYS else ""
    if word in _AFTER_OTHERS:
        needed = _AFTER_OTHERS[word]
        return word if before and (before in needed or not needed) else ""
    if word in _SECRET:
        return word if word == "pass" else word.rstrip("s")
    found = _ENDINGS.search(word)
    return found[0].rstrip("s") if found else ""
