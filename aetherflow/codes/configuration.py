"""AF5xx: settings, environment, profiles, resources, secrets, plugins, parameters."""

from __future__ import annotations

from aetherflow.codes.entry import Entry

ENTRIES = {
    "AF500": Entry(
        "Something of the configuration cannot be used; an error without a more exact code.",
        'raise ConfigError("...") in a plugin',
        "Read the message.",
    ),
    "AF501": Entry(
        "A setting has a value that it does not take, or the settings module cannot be used.",
        "AETHERFLOW_LOG_LEVEL=LOUD",
        "Correct the variable, or the SETTINGS of the module that is named.",
    ),
    "AF502": Entry(
        "Profiles are given twice: as a file and as JSON.",
        "AETHERFLOW_PROFILES_FILE and AETHERFLOW_PROFILES_JSON both set",
        "Unset one of them.",
    ),
    "AF503": Entry(
        "An env file is missing or malformed, or brings a variable that cannot exist.",
        'AETHERFLOW_ENV_FILES_JSON=\'[{"type": "dotenv", "path": "nowhere.env"}]\'',
        'Correct the path or the line; `"optional": true` allows the file to be absent.',
    ),
    "AF510": Entry(
        "A step or connector needs a package that is not installed.",
        "a resource of kind db without SQLAlchemy",
        "Install the extra that the hint names: pip install 'aetherflow[db]'.",
    ),
    "AF511": Entry(
        "The metrics module cannot be loaded, or its METRICS can hear nothing.",
        "AETHERFLOW_METRICS_MODULE=ops.metrics where METRICS is a class",
        "METRICS is a function that takes an event, or an object with on_run_end and the like.",
    ),
    "AF513": Entry(
        "A resource says by an unknown word who shares its connector.",
        "options: {cache: forever}",
        "Write run, process or none.",
    ),
    "AF520": Entry(
        "The secrets provider cannot be loaded.",
        "AETHERFLOW_SECRETS_PATH=nowhere.py",
        "Correct the module name or the path, or the error inside the module.",
    ),
    "AF521": Entry(
        "The secrets provider lacks a function that is needed.",
        "decode: {config: {password: true}} with a module without decode()",
        "Define `def decode(value: str) -> str`, or remove `decode` from the resource.",
    ),
    "AF522": Entry(
        "A function of the secrets provider raised an error.",
        "expand_env() that reads a file which is not there",
        "The message names the line; mend the function.",
    ),
    "AF523": Entry(
        "A function of the secrets provider returned something of the wrong kind, or takes nothing.",
        "decode() that returns bytes",
        "decode returns text; expand_env returns a mapping of names to texts.",
    ),
    "AF524": Entry(
        "The secrets provider has neither of the functions that it could have.",
        "AETHERFLOW_SECRETS_PATH=vault.py with a function deocde",
        "Define `def decode(value: str) -> str` or `def expand_env(env)`, or unset the variable.",
    ),
    "AF530": Entry(
        "A field that is decoded mixes text and templates.",
        'password: "x{{env.PW}}" with decode: {config: {password: true}}',
        "Write one token alone, or plain text.",
    ),
    "AF531": Entry(
        "A decode rule names a field that the resource does not have.",
        "decode: {config: {pasword: true}}",
        "Correct the name.",
    ),
    "AF532": Entry(
        "A decode rule is malformed, or names what is no single text.",
        "decode: {config_paths: password}",
        "Write {config: {password: true}} or config_paths: [auth.token].",
    ),
    "AF533": Entry(
        "A resource names a profile that does not exist.",
        "profile: wharehouse",
        "Correct the name, or add the profile to the profiles file.",
    ),
    "AF534": Entry(
        "A resource names a profile, but no profiles file is set.",
        "profile: warehouse without AETHERFLOW_PROFILES_FILE",
        "Set AETHERFLOW_PROFILES_FILE or AETHERFLOW_PROFILES_JSON.",
    ),
    "AF535": Entry(
        "A resource uses a template root other than env.",
        'url: "{{jobs.a.outputs.url}}"',
        "Resources are opened before any step has run: use {{env.NAME}} only.",
    ),
    "AF536": Entry(
        "A resource needs a variable of the environment that has no value.",
        'url: "{{env.DB_URL}}" while DB_URL is not set',
        "Set it before the run, or give a default. `aetherflow doctor` lists all of them.",
    ),
    "AF537": Entry(
        "A text is also the name of a variable that is set: an old way to read it, which is not supported.",
        "url: DB_URL",
        "Write {{env.DB_URL}} to take the value of the variable.",
    ),
    "AF538": Entry(
        "A resource asks for decoding, but there is no secrets provider; values are used as they are.",
        "decode: {config: {password: true}} without AETHERFLOW_SECRETS_MODULE",
        "Set AETHERFLOW_SECRETS_MODULE or AETHERFLOW_SECRETS_PATH.",
    ),
    "AF540": Entry(
        "A step type or connector is not known.",
        "type: db_extrct",
        "Correct the name, or install the plugin that brings it; `aetherflow steps list` names what "
        "there is.",
    ),
    "AF541": Entry(
        "A plugin registers something that is no step type or connector.",
        "an entry point that names a plain function",
        "Decorate the function with @aetherflow.step(NAME); derive connectors from aetherflow.Connector.",
    ),
    "AF542": Entry(
        "A plugin cannot be imported.",
        "an entry point to a module with a syntax error",
        "The message names the cause; install what it needs, or repair or uninstall the plugin.",
    ),
    "AF543": Entry(
        "A step gets an input that its type does not have.",
        "inputs: {itms: [a]} of check_items",
        "Correct the name; `aetherflow steps show TYPE` lists the inputs.",
    ),
    "AF544": Entry(
        "An input of a step has a value that its type does not take.",
        "min_count: many",
        "Write a value of the kind that is named.",
    ),
    "AF545": Entry(
        "A step lacks an input that its type needs.",
        "type: check_items without items",
        "Add it; `aetherflow steps show TYPE` says what it is.",
    ),
    "AF546": Entry(
        "Two plugins register the same name.",
        "two distributions, or two files in plugin paths, with a step csv_to_parquet",
        "Give one of them another name, or uninstall all but one.",
    ),
    "AF547": Entry(
        "A plugin declares something as a step that cannot be one.",
        '@step("count") on a function with three parameters',
        "Write async def NAME(context: StepContext, inputs: SomeStruct) -> SomeStruct.",
    ),
    "AF548": Entry(
        "A plugin declares something as a connector that cannot be one.",
        '@connector("db") without a driver',
        "Derive it from aetherflow.Connector and name it kind:driver.",
    ),
    "AF549": Entry(
        "A step calls context.run_async on the event loop, which would wait for itself.",
        "context.run_async(context.connector, name) in an async step",
        "Await the coroutine; run_async is for sync steps.",
    ),
    "AF550": Entry(
        "A step names a resource that the flow does not declare.",
        "inputs: {resource: warehose}",
        "Correct the name, or declare it under resources.",
    ),
    "AF552": Entry(
        "A resource is declared, and no step names it.",
        "resources: {old_db: ...}",
        "Remove it, or ignore the warning if a step gets its name some other way.",
    ),
    "AF553": Entry(
        "A resource has a key in config or options that its connector does not know.",
        "kind: db, driver: sqlite3, config: {pth: data.db}",
        "Correct its spelling, or remove it: the connector would refuse it when it is opened.",
    ),
    "AF554": Entry(
        "A resource lacks a key that its connector needs, and no profile brings it.",
        "kind: db, driver: sqlalchemy, config: {}",
        "Add it to the resource or to its profile; aetherflow connectors show says what there is.",
    ),
    "AF555": Entry(
        "A value in config or options of a resource has the wrong type.",
        "options: {pool_size: many}",
        "Write a value of the type that the message names.",
    ),
    "AF560": Entry(
        "A parameter of the run is unknown, missing or unfit.",
        "aetherflow run flow.yaml --param day=yesterday",
        "Give what the message names: --param NAME=VALUE.",
    ),
    "AF561": Entry(
        "A secret parameter is needed to go on with a run; secrets are not stored.",
        "aetherflow run flow.yaml --run-id first (which began with --param api_token=...)",
        "Give it again: --param NAME=VALUE.",
    ),
    "AF562": Entry(
        "A file of parameters is wrong.",
        "--params-file with a name that the flow does not declare",
        "Correct the line that is named.",
    ),
    "AF570": Entry(
        "A field that says where its secret is says it in a form that is not known.",
        "password: {secret: hunter2}",
        'Write {secret: "env:NAME"}, "file:PATH", "command:PROGRAM ARGUMENTS" or "keyring:SERVICE/USER".',
    ),
    "AF571": Entry(
        "The file that holds a secret cannot be read.",
        'password: {secret: "file:/run/secrets/nowhere"}',
        "Correct the path, or let the user who runs the flow read it.",
    ),
    "AF572": Entry(
        "The program that should print a secret cannot be started, failed, or did not end in time.",
        'password: {secret: "command:pass show nothing"}',
        "Run it by hand; it must not ask for anything.",
    ),
    "AF573": Entry(
        "The keyring of the operating system has no such secret, is locked, or is not there.",
        'password: {secret: "keyring:db/etl"} on a server without a desktop',
        "Store it with `keyring set SERVICE USER`, unlock the keyring, or use file: or command:.",
    ),
    "AF574": Entry(
        "A secret is empty, too long, or no text.",
        'password: {secret: "command:true"}',
        "Put the secret where the reference says that it is.",
    ),
    "AF580": Entry(
        "A plugin path is neither a folder nor a .py file.",
        "AETHERFLOW_PLUGIN_PATHS=nowhere",
        "Correct the path; the variable names folders and .py files, separated by commas.",
    ),
    "AF581": Entry(
        "A file of a plugin is not Python.",
        "a plugin with an unclosed bracket",
        "Repair the line that is named.",
    ),
    "AF582": Entry(
        "A plugin raised an error while it was loaded.",
        "a plugin that opens a file which is not there",
        "Repair the plugin, or set AETHERFLOW_PLUGIN_STRICT=false to go on without it.",
    ),
    "AF583": Entry(
        "A plugin imports a module that is not installed.",
        "import pandas in a plugin",
        "Install the package that brings it.",
    ),
}
