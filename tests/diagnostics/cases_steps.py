"""AF7xx and AF8xx: steps that failed, and what is around a run."""

from __future__ import annotations

from tests.diagnostics.case import MINE, PLUGINS, RUN, Case, Told, job, plugin, process, resource, steps
from tests.diagnostics.cases_state import DIES

SQL = "{id: s, type: db_extract, inputs: {resource: r, sql: %s, output: o.jsonl, format: jsonl}}"
MEMORY = "kind: db, driver: sqlite3, config: {path: ':memory:'}"
CONNECTOR = """\
from aetherflow import Connector, StepContext, connector, step


@connector("my:own")
class Mine(Connector):
    @classmethod
    async def open(cls, resource):
        if resource.config.get("broken"):
            raise OSError("nobody answers")
        return cls()

    async def aclose(self):
        raise OSError("half sent")


@step("mine")
async def mine(context: StepContext, inputs: dict):
    await context.connector("r")
"""
OWN = {"plugins/mine.py": CONNECTOR}
ATOMIC = "command: ['true'], idempotency: {strategy: atomic_dir, temp_output_dir: %s, final_output_dir: %s}"
MAIL = "kind: mail, driver: smtp, config: {host: 127.0.0.1, port: 1%s}"
FROM = ", from_addr: ops@b.org"
SENDS = "{id: s, type: mail_send, inputs: {resource: r, to: %s, subject: s, body: b}}"
REST = "kind: rest, driver: httpx, config: {%s}"
ASKS = "{id: s, type: rest_request, inputs: {resource: r%s}}"
USES = "{id: s, type: mine, inputs: {resource: r}}"


def fails(body: str) -> Case:
    """Return the case of a step of a plugin."""
    return Case(MINE, RUN, plugin(body), PLUGINS)


CASES: dict[str, Case | Told] = {
    "AF370": Case(resource(MAIL % FROM, SENDS % "'Smith, Ann <ann@b.org>'"), RUN),
    "AF371": Case(resource(MAIL % FROM, SENDS % "ann@b.org, attachments: '*.csv'"), RUN),
    "AF372": Case(resource(MAIL % "", SENDS % "ann@b.org"), RUN),
    "AF373": Case(resource("kind: my, driver: own", SENDS % "ann@b.org"), RUN, OWN, PLUGINS),
    "AF375": Case(resource(REST % "base_url: 'http://127.0.0.1:1'", ASKS % ""), RUN),
    "AF383": Case(resource(REST % "", ASKS % ", path: users"), RUN),
    "AF384": Case(resource(REST % "base_url: example.com", ASKS % ""), RUN),
    "AF387": Case(
        resource(REST % "base_url: 'http://127.0.0.1:1'", ASKS % ", method: PUT, file: /nowhere/x.csv"), RUN
    ),
    "AF388": Case(resource("kind: my, driver: own", ASKS % ""), RUN, OWN, PLUGINS),
    "AF700": fails("from aetherflow import StepError\nraise StepError('no rows', hint='look at the source')"),
    "AF701": fails("1 / 0"),
    "AF703": Case(resource("kind: my, driver: own", USES), RUN, OWN, PLUGINS),
    "AF704": Case(resource("kind: my, driver: own, config: {broken: true}", USES), RUN, OWN, PLUGINS),
    "AF705": fails("return 5"),
    "AF706": Case(
        steps("{id: s, type: check_items, inputs: {items: [], min_count: '{{env.N}}'}}"),
        RUN,
        env={"N": "many"},
    ),
    "AF707": fails("endless = []\nendless.append(endless)\nreturn {'a': endless}"),
    "AF710": Case(process("command: [sleep, '9']", ", timeout_seconds: 0.2"), RUN),
    "AF711": Case(
        job("timeout_seconds: 0.2", step="{id: s, type: external.process, inputs: {command: [sleep, '9']}}"),
        RUN,
    ),
    "AF712": Case(
        job("for_each: '{{params.n}}'", "flow: {id: f, params: {n: {type: int, default: 5}}}"), RUN
    ),
    "AF714": Case(process("command: [sh, -c, 'echo 12 rows >> $AETHERFLOW_OUTPUT']"), RUN),
    "AF715": Case(process("command: [printf, 'a=1\\noops'], parse: kv"), RUN),
    "AF716": Case(
        job(f"for_each: {{matrix: {{a: &l [{', '.join(map(str, range(400)))}], b: *l}}}}"),
    ),
    "AF717": fails("return {'rows': [{'mean': float('nan')}]}"),
    "AF713": Case("version: 1\n" + DIES % "fail", f"{RUN}; {RUN}"),
    "AF720": Case(resource(MEMORY, (SQL % "select 1").replace("o.jsonl", "../../o")), RUN),
    "AF731": Case(process("command: [no_such_program]"), RUN),
    "AF732": Case(process("command: [sh, -c, 'echo oh no >&2; exit 3']"), RUN),
    "AF733": Case(process("command: [sleep, '9'], timeout_seconds: 0.2"), RUN),
    "AF734": Case(process("command: ['true'], success: {require_files: [out.csv]}"), RUN),
    "AF735": Case(
        process(
            "command: [sh, -c, 'touch file'],"
            " idempotency: {strategy: atomic_dir, temp_output_dir: t, final_output_dir: file/o}"
        ),
        RUN,
    ),
    "AF740": Case(resource(MEMORY, SQL % "selct 1"), RUN),
    "AF741": Case(resource(MEMORY.replace("':memory:'", "/"), SQL % "select 1"), RUN),
    "AF742": Case(resource(MEMORY, SQL % "create table t(x)"), RUN),
    "AF935": Case(resource("kind: db, driver: postgres, config: {user: u}", SQL % "select 1"), RUN),
    "AF936": Case(
        resource(
            "kind: db, driver: sqlalchemy, config: {url: 'sqlite://'}, options: {schema: s}", SQL % "select 1"
        ),
        RUN,
    ),
    "AF937": Case(resource(MEMORY + ", options: {pragmas: {'a b': 1}}", SQL % "select 1"), RUN),
    "AF753": Case(
        resource("kind: my, driver: own", USES),
        "aetherflow doctor flow.yaml --connect",
        {
            "plugins/mine.py": CONNECTOR.replace(
                "    async def aclose",
                "    async def check(self):\n        return 'fine'\n\n    async def aclose",
            )
        },
        PLUGINS,
    ),
    "AF754": fails("async def fetch():\n    pass\ncontext.run_async(context.run_sync, fetch)"),
    "AF750": Case(
        process(
            "command: [echo, canary-7], log: {stdout: capture}", ", outputs: {said: '{{result.stdout}}'}"
        ),
        RUN,
        env={"MY_SECRET": "canary-7"},
    ),
    "AF751": Case(
        job("for_each: '{{params.tokens}}'", "flow: {id: f, params: {tokens: {type: json}}}"),
        RUN + """ --param 'tokens=["canary-7"]'""",
    ),
    "AF743": Case(resource("kind: my, driver: own", SQL % "select 1"), RUN, OWN, PLUGINS),
    "AF744": Case(resource(MEMORY, SQL % "'select 1 as a, 2 as a'"), RUN),
    "AF745": Case(resource("kind: db, driver: sqlalchemy, config: {url: 'nothing'}"), RUN),
    "AF756": Case(process(ATOMIC % ("'.'", "o")), RUN),
    "AF757": Case(
        steps(
            "{id: a, type: external.process, inputs: {command: [sh, -c, 'mkdir t; touch t/precious']}}",
            "{id: s, type: external.process, inputs: {%s}}" % (ATOMIC % ("t", "o")),
        ),
        RUN,
    ),
    "AF758": Case(process("command: ['true']"), f"mkdir -p state/work && touch state/work/f; {RUN}"),
    "AF810": Case(script="aetherflow explain-code AF111 > /dev/full"),
    "AF880": Case(
        process(
            "command: ['true']", head="flow: {id: f, notify: [{to: mail, resource: smtp}, {to: webhook}]}"
        )
    ),
    "AF881": Case(
        process(
            "command: ['true']", head="flow: {id: f, notify: [{on: [late], to: command, command: [page]}]}"
        )
    ),
}
