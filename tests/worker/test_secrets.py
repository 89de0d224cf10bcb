"""No secret travels to a worker or back: it finds its own, or says which it lacks."""

from __future__ import annotations

import base64
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aetherflow.events.trace_ids import RunTrace
from aetherflow.execution.secret_references import Concealer, NotSendable, SecretOnlyHere, SecretReferences
from aetherflow.execution.worker_messages import Answer, Go, Work
from aetherflow.redaction import Redactor
from aetherflow.runs.load_flow import CheckedFlow, load_checked_flow
from aetherflow.runs.packed_run import PackedRun, packed_run
from aetherflow.runs.run_package import RunPackage, decoded
from aetherflow.sdk.executor import Place
from aetherflow.worker.attempt import AttemptOnWorker
from aetherflow.worker.run_on_worker import RunOnWorker, open_run
from aetherflow.worker.runs_here import RunsHere
from tests.worker.engine_double import PLACE, EngineDouble, call_of

CANARIES = {
    "process": "canary-process-81",
    "dotenv": "canary-dotenv-82",
    "file": "canary-file-83",
    "provider": "canary-provider-84",
    "profile": "canary-profile-85",
    "decoded": "canary-decoded-86",
}

PLUGIN = '''
from hashlib import sha256
from aetherflow import Connector, connector, step


def digest(value):
    return sha256(str(value).encode()).hexdigest()


@connector("my:own")
class Mine(Connector):
    """Keeps its config."""

    @classmethod
    async def open(cls, resource):
        made = cls()
        made.config = resource.config
        return made

    async def aclose(self):
        """Close."""


@step("mine")
async def mine(context, inputs):
    """Say all that it gets."""
    found = (await context.connector(inputs["resource"])).config if "resource" in inputs else {}
    context.log(f"{found} {inputs}")
    print(found, inputs)
    context.progress_note = str(inputs)
    if "reads" in inputs:
        text = (context.flow_place.folder / inputs["reads"]).read_text()
        context.log(text)
        return {"read": text}
    if inputs.get("fails"):
        raise RuntimeError(f"{found} {inputs}")
    return {"config": {key: digest(value) for key, value in found.items()},
            "inputs": {key: digest(value) for key, value in inputs.items()}, "said": str(inputs)}
'''

PROVIDER = """
import base64
def decode(value): return base64.b64decode(value).decode()
def expand_env(env): return {"VAULT_TOKEN": base64.b64decode("%s").decode()}
"""

FLOW = """
version: 1
flow: {id: demo}
resources:
  r:
    kind: my
    driver: own
    profile: p
    config: {host: '{{env.HOST}}', env: '{{env.DOTENV_PASSWORD}}', process: '{{env.PROCESS_PASSWORD}}',
             file: {secret: 'file:secret.txt'}, provider: '{{env.VAULT_TOKEN}}', decoded: '%s'}
    decode: {config: {decoded: true}}
  literal: {kind: my, driver: own, config: {password: canary-literal-87}}
jobs: [{id: a, steps: [{id: s, type: mine}]}]
"""


class Project:
    """A project with secrets of all kinds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "PROCESS_PASSWORD": CANARIES["process"]}
        self.worker = dict(self.env)
        encoded = base64.b64encode(CANARIES["decoded"].encode()).decode()
        self.write("plugins/mine.py", PLUGIN)
        self.write("provider.py", PROVIDER % base64.b64encode(CANARIES["provider"].encode()).decode())
        self.write(".env", f"DOTENV_PASSWORD={CANARIES['dotenv']}\nHOST=db.example.org\n")
        self.write("profiles.yaml", f"p: {{config: {{password: {CANARIES['profile']}}}}}\n")
        self.write("secret.txt", CANARIES["file"])
        self.write(
            "aetherflow.yaml",
            "version: 1\ndotenv: true\nplugin_paths: [plugins]\nprofiles: profiles.yaml\n"
            "settings: {secrets_path: provider.py}\n",
        )
        self.flow = self.write("flow.yaml", FLOW % encoded)
        self.checked: CheckedFlow = load_checked_flow(self.flow, self.env)
        assert self.checked.errors == []
        self.packed: PackedRun = packed_run(
            self.checked, RunTrace("demo", "run-1"), scheduled_at="", run_date="2026-11-30"
        )
        self.engine: EngineDouble

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(0o600)
        return file

    def perform(self, inputs: dict[str, Any]) -> Answer:
        """Perform the step on a worker; return how it ended. `engine` has all that it sent."""
        self.checked.redactor.add_named(inputs)
        work = Work(self.packed.concealed(call_of(self.folder, "mine", inputs)), self.packed.id)
        engine = self.engine = EngineDouble(work, decoded(self.packed.text))

        def opens(package: RunPackage, place: Place) -> RunOnWorker:
            return open_run(package, place, own=self.worker)

        engine.attempt = AttemptOnWorker("k", PLACE, engine.send, opens=opens, runs=RunsHere())
        engine.attempt.run()
        return engine.answer

    def travelled(self) -> str:
        """Return all bytes that went to the worker and back."""
        return "\n".join(
            [self.packed.text, msgspec.json.encode(Go(self.engine.work)).decode()]
            + [data.decode() for data in self.engine.sent]
        )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def digests(values: dict[str, str]) -> dict[str, str]:
    """Return what the step returns for these values."""
    return {key: sha256(value.encode()).hexdigest() for key, value in values.items()}


INPUTS = {
    "resource": "r",
    "url": f"postgres://u:{CANARIES['process']}@h/db",
    "header": {"Authorization": f"Bearer {CANARIES['dotenv']}"},
    "again": [CANARIES["provider"], f"x{CANARIES['process']}{CANARIES['dotenv']}"],
}


@pytest.mark.parametrize("how", ["succeeds", "fails"])
def test_no_byte_of_a_secret_travels_and_the_step_has_them_all(project: Project, how: str) -> None:
    answer = project.perform({**INPUTS, "fails": how == "fails"})
    sent = project.travelled()
    assert [name for name, canary in CANARIES.items() if canary in sent] == []
    assert [n for n, c in CANARIES.items() if base64.b64encode(c.encode()).decode()[:-4] in sent] == [
        "decoded"
    ]
    assert "canary-literal-87" not in sent
    assert "db.example.org" in project.packed.text
    if how == "fails":
        assert answer.error is not None
        assert "postgres://u:***@h/db" in answer.error.message
        return
    assert answer.result is not None, answer
    config = {
        "password": CANARIES["profile"],
        "host": "db.example.org",
        "env": CANARIES["dotenv"],
        "process": CANARIES["process"],
        "file": CANARIES["file"],
        "provider": CANARIES["provider"],
        "decoded": CANARIES["decoded"],
    }
    assert answer.result.outputs["config"] == {**digests(config), "password": "***"}
    texts = {key: str(value) for key, value in INPUTS.items()}
    assert answer.result.outputs["inputs"] == digests({**texts, "fails": "False"})
    assert "postgres://u:***@h/db" in answer.result.outputs["said"]


def test_what_a_step_prints_of_a_resource_that_it_does_not_open_is_masked(project: Project) -> None:
    project.write("says.txt", f"{CANARIES['file']} {CANARIES['decoded']} {CANARIES['profile']}")
    answer = project.perform({"reads": "says.txt"})
    assert answer.result is not None, answer
    assert answer.result.outputs["read"] == "*** *** ***"
    sent = project.travelled()
    assert [name for name, canary in CANARIES.items() if canary in sent] == []


def test_the_environment_of_the_engine_does_not_travel(project: Project) -> None:
    assert decoded(project.packed.text).variables.keys().isdisjoint({"PATH", "HOME", "PROCESS_PASSWORD"})


def test_a_variable_that_the_worker_lacks_is_named_with_the_worker(project: Project) -> None:
    del project.worker["PROCESS_PASSWORD"]
    for inputs in ({"resource": "r"}, {"url": f"postgres://u:{CANARIES['process']}@h/db"}):
        error = project.perform(inputs).error
        assert error is not None
        assert error.code == "AF805"
        assert error.message == "the variable PROCESS_PASSWORD is not set (on worker w1 of host host1)"


def test_files_that_the_worker_does_not_see_are_replaced_by_its_own_environment(project: Project) -> None:
    for name in (".env", "profiles.yaml", "provider.py"):
        (project.folder / name).unlink()
    profile = '{"p": {"config": {"password": "mine"}}}'
    project.worker |= {
        "DOTENV_PASSWORD": "own-password-1",
        "VAULT_TOKEN": "own-token-1",
        "AETHERFLOW_PROFILES_JSON": profile,
        "AETHERFLOW_SECRETS_PATH": str(project.write("other.py", PROVIDER % "b3duLXRva2Vu")),
    }
    answer = project.perform({"resource": "r"})
    assert answer.result is not None, answer
    config = answer.result.outputs["config"]
    assert config["env"] == digests({"x": "own-password-1"})["x"]
    assert config["provider"] == digests({"x": "own-token"})["x"]


def test_a_worker_without_the_provider_or_the_profile_says_so(project: Project) -> None:
    (project.folder / "provider.py").unlink()
    project.worker |= {"VAULT_TOKEN": "own-token-1"}
    error = project.perform({"resource": "r"}).error
    assert error is not None
    assert (error.code, "provider.py" in error.message) == ("AF808", True)
    (project.folder / "profiles.yaml").unlink()
    error = project.perform({"resource": "r"}).error
    assert error is not None
    assert (error.code, "profile p" in error.message) == ("AF807", True)


def test_a_secret_that_is_written_in_the_flow_is_refused(project: Project) -> None:
    error = project.perform({"resource": "literal"}).error
    assert error is not None
    assert error.code == "AF807"
    assert "resource literal: config.password" in error.message
    with pytest.raises(SecretOnlyHere, match=r"the input 'password' of step a\.s holds a secret"):
        project.perform({"password": "canary-input-88"})


def test_other_files_of_a_plugin_path_are_refused(project: Project) -> None:
    project.write("plugins/mine.py", PLUGIN + "\n# changed\n")
    error = project.perform({}).error
    assert error is not None
    assert (error.code, str(project.folder / "plugins") in error.message) == ("AF806", True)


def test_who_writes_an_input_cannot_make_a_worker_put_in_a_secret(project: Project) -> None:
    forged = SecretReferences("0" * 32).to("PROCESS_PASSWORD")
    answer = project.perform({"x": forged})
    assert answer.result is not None
    assert answer.result.outputs["inputs"] == digests({"x": forged})


def test_the_longest_value_is_replaced_first_and_short_ones_only_alone() -> None:
    variables = {"A_TOKEN": "abcdef", "B_TOKEN": "abcdefgh", "PIN_CODE_SECRET": "xyz", "PLAIN": "plain"}
    redactor = Redactor()
    redactor.add_named(variables)
    concealer = Concealer(SecretReferences("n"), variables, redactor)
    inputs = {"a": "x abcdefgh abcdef", "b": "xyz", "c": "wxyz plain", "d": 5, "abcdef": None}
    to = concealer.references.to
    assert concealer.inputs("a.s", inputs) == {
        "a": f"x {to('B_TOKEN')} {to('A_TOKEN')}",
        "b": to("PIN_CODE_SECRET"),
        "c": "wxyz plain",
        "d": 5,
        to("A_TOKEN"): None,
    }
    assert concealer.references.reveal(concealer.inputs("a.s", inputs), variables.__getitem__) == inputs


def test_an_input_that_is_no_utf8_is_refused() -> None:
    concealer = Concealer(SecretReferences("n"), {}, Redactor())
    with pytest.raises(NotSendable, match=r"the input 'a' of step a\.s is no UTF-8") as raised:
        concealer.inputs("a.s", {"a": ["x\udcff"]})
    assert raised.value.code == "AF809"
