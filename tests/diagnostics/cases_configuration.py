"""AF5xx: settings, environment, profiles, resources, secrets, plugins, parameters."""

from __future__ import annotations

from aetherflow.cli.printing import print_error
from aetherflow.errors import ConfigError
from tests.diagnostics.case import MINE, OK, PLUGINS, RUN, Case, Told, resource, steps

SQLITE = "kind: db, driver: sqlalchemy, config: {url: 'sqlite://'}, options: {connect_args: {%s}}"
SECRET = SQLITE % "password: x" + ", decode: {options: {connect_args: {password: true}}}"
SECRET_AT = SQLITE % "password: {secret: '%s'}"
LOOPS = {
    "plugins/mine.py": "from aetherflow import StepContext, step\n\n\n@step('mine')\n"
    "async def mine(context: StepContext, inputs: dict):\n    context.run_async(context.connector, 'r')\n"
}
PROVIDER = {"AETHERFLOW_SECRETS_PATH": "provider.py"}
WITHOUT_SQLALCHEMY = (
    "python -c \"import sys; sys.modules['sqlalchemy'] = None; sys.argv[1:] = ['run', 'flow.yaml']; "
    'from aetherflow.__main__ import main; main()"'
)


def installed(source: str, *names: str) -> dict[str, str]:
    """Return an installed distribution, or several, that register the step `mine`."""
    files = {"site/theirs.py": source}
    for name in names:
        files[f"site/{name}-1.dist-info/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
        files[f"site/{name}-1.dist-info/entry_points.txt"] = f"[aetherflow.steps]\nmine = theirs:{name}\n"
    return files


SITE = {"PYTHONPATH": "site"}
PARAM = "flow: {id: f, params: {day: {type: date}}}"

CASES: dict[str, Case | Told] = {
    "AF500": Told(lambda _: print_error(ConfigError("an error of a plugin, without a more exact code"))),
    "AF501": Case(OK, env={"AETHERFLOW_LOG_LEVEL": "LOUD"}),
    "AF502": Case(OK, env={"AETHERFLOW_PROFILES_FILE": "p.yaml", "AETHERFLOW_PROFILES_JSON": "{}"}),
    "AF503": Case(OK, env={"AETHERFLOW_ENV_FILES_JSON": '[{"type": "dotenv", "path": "nowhere.env"}]'}),
    "AF510": Case(resource("kind: db, driver: sqlalchemy, config: {url: 'sqlite://'}"), WITHOUT_SQLALCHEMY),
    "AF511": Case(OK, RUN, {"site/ops.py": "METRICS = 5\n"}, SITE | {"AETHERFLOW_METRICS_MODULE": "ops"}),
    "AF512": Case(OK, RUN, env={"AETHERFLOW_OBSERVERS": "otle"}),
    "AF513": Case(
        resource("kind: db, driver: sqlite3, config: {path: ':memory:'}, options: {cache: ever}"), RUN
    ),
    "AF520": Case(OK, env=PROVIDER),
    "AF521": Case(resource(SECRET), RUN, {"provider.py": "def expand_env():\n    return {}\n"}, PROVIDER),
    "AF522": Case(OK, files={"provider.py": "def expand_env(env):\n    return 1 / 0\n"}, env=PROVIDER),
    "AF523": Case(OK, files={"provider.py": "def expand_env(env):\n    return [1]\n"}, env=PROVIDER),
    "AF524": Case(OK, files={"provider.py": "def deocde(value):\n    return value\n"}, env=PROVIDER),
    "AF530": Case(resource(SECRET.replace("password: x", "password: 'a{{env.HOME}}'"))),
    "AF531": Case(resource(SECRET.replace("{password: true}", "{pasword: true}"))),
    "AF532": Case(resource(SQLITE % "" + ", decode: {config_paths: path}")),
    "AF533": Case(
        resource("kind: db, driver: sqlite3, profile: wharehouse"),
        files={"p.yaml": "warehouse: {}\n"},
        env={"AETHERFLOW_PROFILES_FILE": "p.yaml"},
    ),
    "AF534": Case(resource("kind: db, driver: sqlite3, profile: warehouse")),
    "AF535": Case(resource("kind: db, driver: sqlite3, config: {path: '{{params.x}}'}")),
    "AF536": Case(resource("kind: db, driver: sqlite3, config: {path: '{{env.DB_PATH}}'}")),
    "AF537": Case(resource("kind: db, driver: sqlite3, config: {path: DB_PATH}"), env={"DB_PATH": "x"}),
    "AF538": Case(resource(SECRET)),
    "AF540": Case(steps("{id: s, type: check_itms}")),
    "AF541": Case(MINE, files=installed("one = print\n", "one"), env=SITE),
    "AF542": Case(MINE, files=installed("1 / 0\n", "one"), env=SITE),
    "AF543": Case(steps("{id: s, type: check_items, inputs: {items: [], itms: 1}}")),
    "AF544": Case(steps("{id: s, type: check_items, inputs: {items: [], min_count: many}}")),
    "AF545": Case(steps("{id: s, type: check_items}")),
    "AF546": Case(MINE, files=installed("one = two = print\n", "one", "two"), env=SITE),
    "AF547": Case(
        MINE,
        files={"plugins/p.py": "from aetherflow import step\n\n\n@step('mine')\ndef mine(a):\n    pass\n"},
        env=PLUGINS,
    ),
    "AF548": Case(
        MINE,
        files={
            "plugins/p.py": "from aetherflow import connector\n\n\n@connector('db')\nclass Mine:\n    pass\n"
        },
        env=PLUGINS,
    ),
    "AF549": Case(MINE, RUN, LOOPS, PLUGINS),
    "AF550": Case(resource(SQLITE % "").replace("  r: ", "  rr: ")),
    "AF552": Case(OK.replace("jobs:", "resources:\n  r: {kind: db, driver: sqlite3}\njobs:")),
    "AF553": Case(resource("kind: db, driver: sqlite3, config: {pth: data.db}")),
    "AF554": Case(resource("kind: db, driver: sqlalchemy")),
    "AF555": Case(resource("kind: db, driver: sqlite3, options: {timeout_seconds: soon}")),
    "AF560": Case(OK.replace("flow: {id: f}", PARAM), f"{RUN} --param day=soon"),
    "AF561": Case(
        OK.replace("flow: {id: f}", "flow: {id: f, params: {token: {}}}"),
        f"{RUN} --param token=hunter2; {RUN}",
    ),
    "AF562": Case(
        OK.replace("flow: {id: f}", PARAM), f"{RUN} --params-file p.yaml", {"p.yaml": "dya: 2026-01-01\n"}
    ),
    "AF563": Case(OK.replace("flow: {id: f}", "flow: {id: f, params: {n: {type: int, min: 5, max: 1}}}")),
    "AF565": Case(steps("{id: s, type: check_items, inputs: {items: ['{{run.attempt - 1d}}']}}")),
    "AF566": Case(steps("{id: s, type: check_items, inputs: {items: ['{{run.date | format: YYYY}}']}}")),
    "AF570": Case(resource(SECRET_AT % "hunter2"), RUN),
    "AF571": Case(resource(SECRET_AT % "file:/run/secrets/nowhere"), RUN),
    "AF572": Case(resource(SECRET_AT % "command:no_such_program"), RUN),
    "AF574": Case(resource(SECRET_AT % "command:true"), RUN),
    "AF575": Case(OK.replace("jobs:", f"resources:\n  r: {{{SECRET_AT % 'file:late'}}}\njobs:"), RUN),
    "AF580": Case(MINE, env={"AETHERFLOW_PLUGIN_PATHS": "nowhere"}),
    "AF581": Case(MINE, files={"plugins/p.py": "def (:\n"}, env=PLUGINS),
    "AF582": Case(MINE, files={"plugins/p.py": "1 / 0\n"}, env=PLUGINS),
    "AF583": Case(MINE, files={"plugins/p.py": "import not_installed\n"}, env=PLUGINS),
}
