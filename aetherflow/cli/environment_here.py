"""Load the environment of a command that names no flow: with the project of the working directory."""

from __future__ import annotations

import os

from aetherflow.cli.printing import print_note
from aetherflow.config.environment import Environment, load_environment
from aetherflow.config.project import project_here
from aetherflow.redaction import Redactor


def environment_here(redactor: Redactor | None = None) -> Environment:
    """Return the environment; a project file that is ignored is named on standard error.

    Raises:
        AetherFlowError: the project file, a setting or the secrets provider cannot be used.
    """
    found = project_here()
    for warning in found.ignored:
        print_note(str(warning))
    return load_environment(os.environ, project=found.project, redactor=redactor)
