from __future__ import annotations

from aetherflow.admin.explain_resources import explain_resources
from aetherflow.config.resource_origins import FieldOrigin, Variable
from tests.runs.run_parts import Place, flow

EXTRACT = flow(
    "{id: a, steps: [{id: s, type: db_extract, inputs: {resource: db, sql: select 1, output: x}}]}"
)


def test_a_field_is_of_the_flow_the_profile_or_a_default_and_its_variables_have_a_layer(place: Place) -> None:
    (place.folder / "night.env").write_text("DB_FILE=night.db\n")
    (place.folder / "profiles.yaml").write_text(
        "main: {config: {path: '{{env.DIR:/data}}/{{env.DB_FILE}}'}}\n"
    )
    checked = place.checked(
        EXTRACT + "resources:\n  db: {kind: db, driver: sqlite3, profile: main, options: {cache: none}}\n",
        AETHERFLOW_PROFILES_FILE=str(place.folder / "profiles.yaml"),
        AETHERFLOW_ENV_FILES_JSON=f'[{{"path": "{place.folder}/night.env"}}]',
    )
    found = explain_resources(checked)["db"]
    assert (found.driver, found.profile, found.problem) == ("db:sqlite3", "main", "")
    assert found.fields == [
        FieldOrigin(
            "config.path",
            "profile main",
            "{{env.DIR:/data}}/{{env.DB_FILE}}",
            "/data/night.db",
            variables=(Variable("DIR", "default"), Variable("DB_FILE", f"env file {place.folder}/night.env")),
        ),
        FieldOrigin("options.cache", "flow", "none", "none"),
        FieldOrigin("options.timeout_seconds", "default", "5.0", "5.0"),
    ]


def test_a_secret_is_explained_by_where_it_is(place: Place) -> None:
    secrets = (
        "{a: {secret: 'env:PIN'}, b: {secret: 'file:{{env.DIR:/run}}/pin'},"
        " c: {secret: 'env:NONE'}, d: {secret: 'command:pass show {{env.NONE}}'}}"
    )
    text = (
        f"{EXTRACT}resources:\n  db: {{kind: db, driver: sqlalchemy, config: {{url: 'x-{{{{env.PIN}}}}'}},"
        f" options: {{connect_args: {secrets}}}}}\n"
    )
    fields = explain_resources(place.checked(text, PIN="canary-7f3a9c"))["db"].fields
    assert fields[1:5] == [
        FieldOrigin(
            "options.connect_args.a",
            "flow",
            "env:PIN",
            "***",
            variables=(Variable("PIN", "environment"),),
            provider="env",
        ),
        FieldOrigin(
            "options.connect_args.b",
            "flow",
            "file:{{env.DIR:/run}}/pin",
            "***",
            variables=(Variable("DIR", "default"),),
            provider="file",
        ),
        FieldOrigin(
            "options.connect_args.c",
            "flow",
            "env:NONE",
            "",
            missing=("NONE",),
            variables=(Variable("NONE", "not set"),),
            provider="env",
        ),
        FieldOrigin(
            "options.connect_args.d",
            "flow",
            "command:pass show {{env.NONE}}",
            "",
            missing=("NONE",),
            variables=(Variable("NONE", "not set"),),
        ),
    ]
    assert "canary" not in repr(fields)


def test_a_resource_whose_profile_is_not_there_hides_no_other(place: Place) -> None:
    text = EXTRACT + (
        "resources:\n  gone: {kind: db, driver: sqlite3, profile: nope}\n"
        "  db: {kind: db, driver: sqlite3, config: {path: x.db}}\n"
    )
    from aetherflow.runs.load_flow import load_checked_flow  # noqa: PLC0415 - `examined` allows no errors

    checked = load_checked_flow(place.write(text), {**place.env, "AETHERFLOW_PROFILES_JSON": "{}"})
    found = explain_resources(checked)
    assert found["gone"].problem == "resource 'gone' names an unknown profile 'nope'"
    assert found["db"].fields[0].value == "x.db"
