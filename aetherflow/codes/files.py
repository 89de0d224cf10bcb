"""AF1xx: the text and the shape of flow, profile, manifest and scheduler files."""

from __future__ import annotations

from aetherflow.codes.entry import Entry

ENTRIES = {
    "AF100": Entry(
        "A file is wrong; the findings that are told with it have codes of their own.",
        "an InvalidInput without a finding of severity error",
        "Look at the findings.",
    ),
    "AF101": Entry(
        "A file cannot be read.",
        "aetherflow validate nowhere.yaml",
        "Correct the path, or the permissions of the file.",
    ),
    "AF102": Entry(
        "A file is not text in UTF-8, or holds a control character.",
        "a flow saved as UTF-16 or Latin-1",
        "Save it as UTF-8; write control characters as escapes in double quotes.",
    ),
    "AF103": Entry(
        "The text is no YAML, from the told place on.",
        "command: [echo, {{params.x}}]",
        'Look at the indentation and the quotes; a template in a list needs quotes: "{{params.x}}".',
    ),
    "AF104": Entry(
        "A mapping has a key twice; YAML would silently keep the last.",
        "timeout_seconds: 60 on two lines of one job",
        "Remove one of the two.",
    ),
    "AF105": Entry(
        "The file uses a part of YAML that is not supported: tags, merge keys, keys that are no texts, "
        "documents.",
        "<<: *defaults",
        "Write the value out; an alias for a whole value (key: *name) is fine.",
    ),
    "AF106": Entry(
        "The file is too large, too deep, or its aliases stand for too much.",
        "a: &a [*a]",
        "Flatten the data, split the file, or write aliases out.",
    ),
    "AF107": Entry(
        "The file is empty.",
        "a file with nothing but comments",
        "Write the flow into it; `aetherflow init` writes an example.",
    ),
    "AF110": Entry(
        "A value is of another kind than the key takes.",
        'timeout_seconds: "60"',
        "Write a value of the kind that is named; numbers stand without quotes.",
    ),
    "AF111": Entry(
        "A key is not known here.",
        "depend_on: [extract]",
        "Correct its spelling. It is read as the key it is most like, so nothing below it is hidden.",
    ),
    "AF112": Entry(
        "A key that is needed is missing.",
        "a job without an id",
        "Add it.",
    ),
    "AF113": Entry(
        "A value is of the right kind, but not allowed: not in the list, out of range, too long.",
        "cleanup_policy: sometimes",
        "Write one of the values that the hint names.",
    ),
    "AF120": Entry(
        "Two jobs, or two steps of one list, have the same id.",
        "- {id: load, ...} twice under jobs",
        "Give each its own id.",
    ),
    "AF130": Entry(
        "Jobs wait for each other in a circle.",
        "a depends_on b, and the `when` of b reads jobs.a.status",
        "Remove one depends_on, or one reference to jobs.*, of the circle.",
    ),
    "AF131": Entry(
        "A job depends on a job that the flow does not have.",
        "depends_on: [extrct]",
        "Correct the name.",
    ),
    "AF150": Entry(
        "A cron expression cannot be read.",
        'cron: "61 * * * *"',
        "Correct the field that the place points at.",
    ),
    "AF151": Entry(
        "An interval or a moment of a schedule is not usable.",
        "interval_seconds: 0",
        "Write whole seconds, or a date with a time of day.",
    ),
    "AF152": Entry(
        "A time zone is not known, or the machine has no time zone database.",
        "timezone: Europe/Berln",
        "Write an IANA name, such as Europe/Berlin; if none is found: pip install tzdata.",
    ),
    "AF153": Entry(
        "A calendar contradicts itself or has no dates.",
        "weekdays: [mo-fri]",
        "Correct its weekdays, its dates or its working day.",
    ),
}
