"""Sources of small plugins."""

from __future__ import annotations


def step_source(name: str, returned: str = "") -> str:
    """Return a module with a sync step that returns this expression, or its own name."""
    return f"""
from aetherflow import step

@step({name!r})
def _step(context, inputs):
    '''Give back something.'''
    return {returned or repr(name)}
"""


CONNECTOR_CLASS = """
from aetherflow import Connector, connector

@connector("{name}")
class Made(Connector):
    '''Connects to nothing.'''

    @classmethod
    async def open(cls, resource):
        return cls()

    async def aclose(self):
        pass
"""
