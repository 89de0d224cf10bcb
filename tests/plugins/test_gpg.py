"""The step `gpg` with the real GnuPG and throw-away keys."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aetherflow_archive.gpg_step import gpg

from aetherflow import StepError, run_blocking
from aetherflow.testing import run_step
from tests.plugins.archives import KEY, WRONG, Run

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(not shutil.which("gpg"), reason="needs the Debian package gnupg"),
]
FILES = {"a.csv": "id\n1\n", "b.csv": "id\n2\n"}


class Keys(NamedTuple):
    """Two people, each with the folder of their keys: the sender has both public keys, the receiver, too."""

    sender: Path
    receiver: Path
    stranger: Path
    sender_key: str
    receiver_key: str


def call(home: Path, *arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(
        ["gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", *arguments],
        input=stdin,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


def forget_passphrases(home: Path) -> None:
    """End gpg's agent, which knows a passphrase for ten minutes."""
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


def new_key(home: Path, mail: str, passphrase: str) -> str:
    home.mkdir(mode=0o700)
    made = ["--passphrase-fd", "0", "--quick-generate-key", mail, "future-default", "default", "never"]
    call(home, *made, stdin=f"{passphrase}\n".encode())
    listed = call(home, "--with-colons", "--list-keys", mail).splitlines()
    return next(line.split(":")[9] for line in listed if line.startswith("fpr"))


@pytest.fixture(scope="module")
def keys() -> Iterator[Keys]:
    """Make the keys; in a short path, as the agent's socket needs one."""
    with tempfile.TemporaryDirectory(prefix="aetherflow-gpg-") as folder:
        sender, receiver, stranger = (Path(folder) / name for name in ("s", "r", "x"))
        sender_key = new_key(sender, "sender@example.com", "")
        receiver_key = new_key(receiver, "receiver@example.com", KEY)
        stranger.mkdir(mode=0o700)
        for home, other, mail in ((sender, receiver, "receiver@"), (receiver, sender, "sender@")):
            call(home, "--import", stdin=call(other, "--armor", "--export", f"{mail}example.com").encode())
        yield Keys(sender, receiver, stranger, sender_key, receiver_key)
        for home in (sender, receiver, stranger):
            forget_passphrases(home)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with two files."""
    run = Run(tmp_path, env={"PATH": os.environ["PATH"]})
    run.write(FILES)
    return run


async def step(run: Run, action: str, home: Path, **inputs: Any) -> dict[str, Any]:
    return (await run_step(gpg, {"action": action, "home": str(home), **inputs}, run)).outputs


@pytest.mark.parametrize("armor", [False, True])
async def test_files_are_encrypted_and_signed_for_a_recipient_who_decrypts_them(
    run: Run, keys: Keys, *, armor: bool
) -> None:
    encrypted = await step(
        run,
        "encrypt",
        keys.sender,
        files="*.csv",
        dest_dir="out",
        recipients=[keys.receiver_key],
        trust_recipients=True,
        sign_by=keys.sender_key,
        armor=armor,
    )
    ending = ".asc" if armor else ".gpg"
    assert encrypted["files"] == [str(run.artifacts / "out" / f"{name}{ending}") for name in FILES]
    content = Path(encrypted["files"][0]).read_bytes()  # noqa: ASYNC240 - of a test
    assert content.startswith(b"-----BEGIN PGP MESSAGE") == armor
    assert b"id\n" not in content
    decrypted = await step(
        run,
        "decrypt",
        keys.receiver,
        files=encrypted["files"],
        dest_dir="in",
        passphrase=KEY,
        signed_by=[keys.sender_key],
    )
    assert run.read("in") == FILES
    assert {one["signed_by"] for one in decrypted["results"]} == {keys.sender_key}
    with pytest.raises(StepError, match="is not signed by the keys") as caught:
        await step(
            run,
            "decrypt",
            keys.receiver,
            files=encrypted["files"],
            dest_dir="no",
            passphrase=KEY,
            signed_by=["0" * 40],
        )
    assert caught.value.code == "AF989"
    assert run.read("no") == {}
    assert run.left_over() == []


async def test_a_passphrase_alone_encrypts_and_decrypts(run: Run, keys: Keys) -> None:
    await step(run, "encrypt", keys.stranger, files=["a.csv"], passphrase=KEY)
    (run.artifacts / "a.csv").unlink()
    with pytest.raises(StepError, match="cannot decrypt") as caught:
        await step(run, "decrypt", keys.stranger, files=["a.csv.gpg"], passphrase=WRONG)
    assert (caught.value.code, KEY in str(caught.value)) == ("AF987", False)
    assert not (run.artifacts / "a.csv").exists()
    outputs = await step(run, "decrypt", keys.stranger, files=["a.csv.gpg"], passphrase=KEY)
    assert (run.artifacts / "a.csv").read_text() == FILES["a.csv"]
    assert outputs["results"][0]["signed_by"] == ""


async def test_a_signature_beside_a_file_is_verified(run: Run, keys: Keys) -> None:
    signed = await step(run, "sign", keys.sender, files=["a.csv"])
    assert signed["files"] == [str(run.artifacts / "a.csv.sig")]
    good = await step(run, "verify", keys.receiver, files="a.csv*", signed_by=[keys.sender_key.lower()])
    assert [(one["path"], one["signed_by"]) for one in good["results"]] == [
        (str(run.artifacts / "a.csv"), keys.sender_key)
    ]
    with pytest.raises(StepError, match="a key that is not here"):
        await step(run, "verify", keys.stranger, files=["a.csv"])
    with pytest.raises(StepError, match="is not signed by the keys"):
        await step(run, "verify", keys.receiver, files=["a.csv"], signed_by=[keys.receiver_key])
    run.write({"a.csv": "changed"})
    with pytest.raises(StepError, match="the file was changed after it was signed"):
        await step(run, "verify", keys.receiver, files=["a.csv"])
    with pytest.raises(StepError, match=r"cannot verify .*b\.csv: it has no signature"):
        await step(run, "verify", keys.receiver, files=["b.csv"])


async def test_each_reason_has_its_sentence_and_leaves_nothing(run: Run, keys: Keys) -> None:
    encrypt: dict[str, Any] = {"files": ["a.csv"], "recipients": [keys.receiver_key]}
    with pytest.raises(StepError, match="no usable key of a recipient") as caught:
        await step(run, "encrypt", keys.sender, **encrypt)
    assert "trust_recipients" in caught.value.hint
    with pytest.raises(StepError, match=r"no usable key of a recipient \(nobody@example.com\)"):
        await step(run, "encrypt", keys.sender, files=["a.csv"], recipients=["nobody@example.com"])
    with pytest.raises(StepError, match=r"there is no folder .*nowhere of keys"):
        await step(run, "encrypt", run.artifacts / "nowhere", **encrypt)
    await step(run, "encrypt", keys.sender, **encrypt, trust_recipients=True)
    with pytest.raises(StepError, match="a key that is not here"):
        await step(run, "decrypt", keys.sender, files=["a.csv.gpg"], dest_dir="in")
    await run_blocking(forget_passphrases, keys.receiver)
    for action, files in (("decrypt", ["a.csv.gpg"]), ("sign", ["a.csv"])):
        with pytest.raises(StepError, match="the passphrase is wrong"):
            await step(run, action, keys.receiver, files=files, dest_dir="in", passphrase=WRONG)
        with pytest.raises(StepError, match="the key has a passphrase, and none is given"):
            await step(run, action, keys.receiver, files=files, dest_dir="in")
    cut = run.artifacts / "cut.csv.gpg"
    cut.write_bytes((run.artifacts / "a.csv.gpg").read_bytes()[:-20])
    for name in ("cut.csv.gpg", "b.csv"):
        with pytest.raises(StepError, match="cannot decrypt"):
            await step(run, "decrypt", keys.receiver, files=[name], dest_dir="in", passphrase=KEY)
    with pytest.raises(StepError, match="no-such-gpg"):
        await step(run, "decrypt", keys.receiver, files=["a.csv.gpg"], program="no-such-gpg")
    assert run.read("in") == {}
    assert run.left_over() == []


async def test_results_that_exist_or_clash_are_errors(run: Run, keys: Keys) -> None:
    run.write({"a.csv.gpg": "old", "x/a.csv": "other"})
    with pytest.raises(StepError, match=r"a\.csv\.gpg exists"):
        await step(run, "encrypt", keys.sender, files=["a.csv"], passphrase=KEY, overwrite=False)
    with pytest.raises(StepError, match="would both become"):
        await step(run, "encrypt", keys.sender, files=["a.csv", "x/a.csv"], dest_dir="o", passphrase=KEY)
    result = await run_step(gpg, {"action": "encrypt", "files": "*.none", "passphrase": KEY}, run)
    assert (result.status, result.outputs["count"]) == ("SKIPPED", 0)


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({"action": "encrypt"}, "needs recipients, or a passphrase"),
        ({"action": "sign", "recipients": ["x"]}, "recipients belong to action: encrypt"),
        ({"action": "encrypt", "passphrase": "x", "signed_by": ["x"]}, "signed_by belongs to"),
        ({"action": "verify", "sign_by": "x"}, "sign_by belongs to"),
        ({"action": "encrypt", "passphrase": "x\ny"}, "gpg reads the first one only"),
        ({"action": "verify", "files": ""}, "a file is empty"),
    ],
)
async def test_inputs_that_do_not_belong_together_are_refused(
    run: Run, inputs: dict[str, Any], why: str
) -> None:
    with pytest.raises(StepError, match=why):
        await run_step(gpg, {"files": "a.csv", **inputs}, run)
