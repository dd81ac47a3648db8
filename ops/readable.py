"""The settings as far as they can be read: for commands that are asked when something is broken."""

import dataclasses
import os

from ops import secrets
from shared.errors import ConfigurationError
from shared.settings import Settings


def settings() -> tuple[Settings, str | None]:
    """The settings in force, and what is wrong with them: broken variables are left out, as if they were not set."""
    try:
        return secrets.with_generated(Settings.from_environment()), None
    except ConfigurationError as error:
        problem = str(error)
    environment = dict(os.environ)
    for each in dataclasses.fields(Settings):
        variable = each.metadata["variable"]
        try:
            Settings.from_environment({variable: environment.get(variable, "")})
        except ConfigurationError:
            environment[variable] = ""
    return secrets.with_generated(Settings.from_environment(environment)), problem
