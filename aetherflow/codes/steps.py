"""AF7xx: steps that failed."""

from __future__ import annotations

from aetherflow.codes.entry import Entry

ENTRIES = {
    "AF700": Entry(
        "A step failed, for a reason that its author foresaw.",
        'raise StepError("no rows") in a plugin',
        "Read the message and the hint of the step.",
    ),
    "AF701": Entry(
        "A step raised an error that its author did not foresee.",
        "a plugin with a division by zero",
        "The message holds the error; --debug shows its traceback.",
    ),
    "AF702": Entry(
        "A step was stopped on request.",
        "Ctrl-C while a step works in a thread",
        "Run again with the same run id to go on.",
    ),
    "AF703": Entry(
        "A connector could not be closed after the run.",
        "a server that went away",
        "Nothing is lost; look at the other side if it happens often.",
    ),
    "AF704": Entry(
        "A resource cannot be opened.",
        "a wrong password of a database",
        "Check its config and options, and that the other side answers: aetherflow doctor FLOW.",
    ),
    "AF705": Entry(
        "A step returned something that is no result.",
        "a plugin that returns 5",
        "Return a StepResult, a Struct, a mapping or None.",
    ),
    "AF706": Entry(
        "The inputs of a step, once rendered, do not fit its type.",
        'min_count: "{{env.COUNT}}" with COUNT=many',
        "Look at the values that the templates give; `aetherflow steps show TYPE` lists the inputs.",
    ),
    "AF707": Entry(
        "The outputs of a step cannot be written as JSON.",
        "a plugin that returns a mapping with tuples as keys",
        "Return texts, numbers, booleans, lists and mappings with text keys.",
    ),
    "AF708": Entry(
        "A process of the run could not be ended.",
        "a program that runs as another user",
        "End it by hand; the message names its number.",
    ),
    "AF710": Entry(
        "The timeout_seconds of a step passed.",
        "timeout_seconds: 60",
        "Raise it if the work needs that long; else see what the step waited for.",
    ),
    "AF711": Entry(
        "The timeout_seconds of the job passed while a step ran.",
        "timeout_seconds: 600 on a job",
        "Raise it if the work needs that long.",
    ),
    "AF712": Entry(
        "for_each did not give a list.",
        'for_each: "{{jobs.list.outputs.count}}"',
        "Let the step yield a list; a text with commas is no list.",
    ),
    "AF713": Entry(
        "A step was interrupted and must not be repeated blindly.",
        "on_interrupt: fail, and the machine lost power",
        "Find out what it did; resuming the run once more runs it again.",
    ),
    "AF720": Entry(
        "A path leaves the folder it must stay in.",
        "output: ../../etc/passwd",
        "Use a path below the job's artifacts folder, or an absolute path.",
    ),
    "AF721": Entry(
        "Files of a run could not be removed at its end.",
        "a file that another user owns",
        "Remove them by hand, or correct the permissions.",
    ),
    "AF731": Entry(
        "A program cannot be started.",
        "command: [no_such_program]",
        "Check its name and the PATH, its permissions and the working directory.",
    ),
    "AF732": Entry(
        "A program ended with an exit code that is no success.",
        'command: [sh, -c, "exit 3"]',
        "The reason is in the program's output: aetherflow logs RUN. success.exit_codes accepts other codes.",
    ),
    "AF733": Entry(
        "A program did not end in time and was ended.",
        "timeout_seconds: 60 on external.process",
        "Raise timeout_seconds if the work needs that long.",
    ),
    "AF734": Entry(
        "A program ended well, but did not leave what it should.",
        "success: {require_files: [out.csv]}",
        "See its output; relative paths are under the job's artifacts folder.",
    ),
    "AF735": Entry(
        "The output of a program, or its output folder, could not be stored.",
        "temp_output_dir and final_output_dir on two file systems",
        "Make room, correct the permissions, or set idempotency.atomic_rename: false.",
    ),
    "AF740": Entry(
        "A statement failed.",
        "sql: selct 1",
        "Try the statement, which the error shows, on that database.",
    ),
    "AF741": Entry(
        "A database cannot be reached or read.",
        "a wrong host or password",
        "Check the resource's config and options, its permissions, and that the database answers.",
    ),
    "AF742": Entry(
        "A statement writes, or gives no rows, in a step that only reads.",
        "sql: delete from t in db_extract",
        "Give a statement that returns rows, such as SELECT.",
    ),
    "AF743": Entry(
        "A step that needs a database got another kind of resource.",
        "resource: mail in db_extract",
        "Name a resource of kind db.",
    ),
    "AF744": Entry(
        "Several columns of a result have the same name.",
        "select a.id, b.id from a, b",
        "Rename them in the statement: SELECT a.id AS a_id, b.id AS b_id.",
    ),
    "AF745": Entry(
        "The URL, the dialect or the driver of a database cannot be used.",
        "url: postgresq://host/db",
        "Correct the URL, or install the driver that the hint names.",
    ),
}
