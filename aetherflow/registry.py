"""Find step types, connectors, bundle sources, observers and executors by name.

Nothing is imported before a flow names it. What ships in this wheel is found in a table
(`aetherflow.shipped`). The first other name makes it read the entry points of all installed packages and load
the plugin paths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from aetherflow._version import __version__
from aetherflow.config.settings import Settings
from aetherflow.errors import AetherFlowError, ConfigError, Diagnostic, MissingExtra
from aetherflow.plugin_errors import is_our_cancellation, named
from aetherflow.plugin_output import held_back
from aetherflow.redaction import Redactor
from aetherflow.sdk.connector import Connector
from aetherflow.sdk.registration import all_declared
from aetherflow.sdk.step import FOLLOW_UP, StepType
from aetherflow.shipped import PLUGIN_EXTRAS, targets

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from aetherflow.bundle.source import BundleSource
    from aetherflow.plugins.plugin_search import Plugins
    from aetherflow.sdk.executor import Executor
    from aetherflow.sdk.observer import EventObserver, ObservedRun

STEPS: Mapping[str, str] = targets("step type")
CONNECTORS: Mapping[str, str] = targets("connector")
SOURCES: Mapping[str, str] = targets("bundle source")
OBSERVERS: Mapping[str, str] = targets("observer")
EXECUTORS: Mapping[str, str] = targets("executor")

STEP = "step type"
CONNECTOR = "connector"
_GROUPS = {STEP: "aetherflow.steps", CONNECTOR: "aetherflow.connectors"}


def registry_of(
    settings: Settings,
    plugin_paths: Sequence[Path] = (),
    redactor: Redactor | None = None,
    given: Mapping[tuple[str, str], object] | None = None,
    own: Sequence[Path] = (),
) -> Registry:
    """Return the registry of these settings.

    Args:
        settings: which plugin paths the environment names, and whether a broken one is an error.
        plugin_paths: more of them, from a bundle. In enterprise mode they are the only ones.
        redactor: masks the errors of plugins that cannot be loaded.
        given: types that need not be found, by what they are and their name: those of a test.
        own: the `steps` folders of projects, which may not exist.
    """
    inherited = () if settings.mode == "enterprise" else settings.plugin_paths
    paths = (*inherited, *plugin_paths)
    return Registry(paths, strict=settings.plugin_strict, redactor=redactor, given=given, own=own)


class Registry:
    """The types that one run, or one check of a flow, knows: shipped, installed, and in plugin paths.

    Attributes:
        paths: the plugin paths.
        own: the `steps` folders of projects, which may not exist.
        strict: whether a plugin that cannot be loaded is an error; else it is a warning.
    """

    def __init__(
        self,
        paths: Sequence[Path] = (),
        *,
        strict: bool = True,
        redactor: Redactor | None = None,
        given: Mapping[tuple[str, str], object] | None = None,
        own: Sequence[Path] = (),
    ) -> None:
        self.paths = tuple(paths)
        self.own = tuple(own)
        self.strict = strict
        self._redactor = redactor or Redactor()
        self._given = given or {}
        self._found: Plugins | None = None
        self._lacks_a_type = False

    def step_type(self, name: str) -> StepType:
        """Return a step type, imported now if it was not.

        Raises:
            ConfigError: there is none of that name (with the nearest one), or it cannot be imported.
        """
        main = self.known_step_type(name.removesuffix(FOLLOW_UP)) if name.endswith(FOLLOW_UP) else None
        if main is not None and main.follow_up is not None:
            return main.follow_up
        found = self._find(STEP, name)
        if not isinstance(found, StepType):
            raise ConfigError(
                f"the step type {name!r} is registered, but what it names is a {type(found).__name__}",
                hint="decorate the function with @aetherflow.step(NAME)",
                code="AF541",
            )
        is_ours = name in STEPS and (STEP, name) not in self._given and not found.contains
        if not is_ours:
            return found
        follow_up = None if found.follow_up is None else replace(found.follow_up, is_foreign=False)
        return replace(found, is_foreign=False, follow_up=follow_up)

    def connector_class(self, name: str) -> type[Connector]:
        """Return the class of a connector `kind:driver`, imported now if it was not.

        Raises:
            ConfigError: there is none of that name (with the nearest one), or it cannot be imported.
        """
        found = self._find(CONNECTOR, name)
        if not (isinstance(found, type) and issubclass(found, Connector)):
            raise ConfigError(
                f"the connector {name!r} is registered, but what it names is no subclass of "
                "aetherflow.Connector",
                code="AF541",
            )
        return found

    def connector_shapes(self, name: str) -> dict[str, type[Any]]:
        """Return what the connector `kind:driver` takes, by section; nothing if it cannot be used."""
        try:
            found = self.connector_class(name)
        except AetherFlowError:
            return {}  # the check of the flow reports it
        return {"config": found.config_type, "options": found.options_type}

    def step_version(self, name: str) -> str:
        """Return the version of a step type; empty if unknown.

        A resume reports a step that ran with another version. Of AetherFlow itself the first two numbers
        count, of an installed plugin its version, of a file in a plugin path a hash of its content.
        """
        name = name.removesuffix(FOLLOW_UP)  # what follows a step is of its version
        if name in STEPS:
            return f"aetherflow {'.'.join(__version__.split('.')[:2])}"
        entries = _entries(_GROUPS[STEP]).get(name)
        if entries:
            return f"{entries[0].dist.name} {entries[0].dist.version}" if entries[0].dist else ""
        plugin = self._plugins.by_name.get((STEP, name))
        return plugin.version if plugin else ""

    def known_step_type(self, name: str) -> StepType | None:
        """Return a step type; None if there is none of that name, or it cannot be used."""
        try:
            return self.step_type(name)
        except AetherFlowError:
            return None  # the check of the flow reports it

    def step_names(self) -> list[str]:
        """Return the names of all step types that there are, sorted."""
        return self._names(STEP)

    def connector_names(self) -> list[str]:
        """Return the names of all connectors that there are, sorted."""
        return self._names(CONNECTOR)

    def source(self, what: str, name: str) -> str:
        """Return where a type comes from: `aetherflow`, a distribution, or `file:line`."""
        if name in _shipped(what):
            return "aetherflow"
        if entries := _entries(_GROUPS[what]).get(name):
            return _distribution(entries[0])
        plugin = self._plugins.by_name.get((what, name))
        return plugin.source if plugin else ""

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """What is wrong with the plugins that were loaded; nothing is loaded for it.

        A file of a `steps` folder counts once a type was not found, as it might have that type.
        """
        if self._found is None:
            return []
        own = self._found.own_problems if self._lacks_a_type else []
        return self._masked([*self._found.problems, *own])

    @property
    def unneeded_problems(self) -> list[Diagnostic]:
        """The warnings about files of `steps` folders that cannot be loaded and were not needed."""
        if self._found is None or self._lacks_a_type:
            return []
        return self._masked([replace(problem, severity="warning") for problem in self._found.own_problems])

    def _masked(self, problems: Sequence[Diagnostic]) -> list[Diagnostic]:
        mask = self._redactor.text
        return [
            replace(problem, message=mask(problem.message), excerpt=mask(problem.excerpt))
            for problem in problems
        ]

    @property
    def _plugins(self) -> Plugins:
        # No cached_property: before Python 3.12 one lock is held for all registries while it is computed.
        if self._found is None:
            self._found = self._find_plugins()
        return self._found

    def _find_plugins(self) -> Plugins:
        from aetherflow.plugins.plugin_search import find_plugins  # noqa: PLC0415 - only for names that do not ship

        taken: dict[tuple[str, str], str] = {}
        for what, group in _GROUPS.items():
            taken |= {(what, name): _distribution(entries[0]) for name, entries in _entries(group).items()}
            taken |= {(what, name): "aetherflow" for name in _shipped(what)}
        with held_back(self._redactor):
            return find_plugins(self.paths, taken, strict=self.strict, own=self.own)

    def _names(self, what: str) -> list[str]:
        declared = [name for kind, name in self._plugins.by_name if kind == what]
        return sorted({*_shipped(what), *_entries(_GROUPS[what]), *declared})

    def _find(self, what: str, name: str) -> Any:
        """Return what a name is registered for.

        Raises:
            ConfigError: it is not known, installed twice, or cannot be imported; a broken plugin is named.
        """
        if (what, name) in self._given:
            return self._given[what, name]
        if target := _shipped(what).get(name):
            return _import_type(f"the {what} {name!r}", *target.split(":"), redactor=self._redactor)
        plugins = self._plugins
        if entries := _entries(_GROUPS[what]).get(name):
            if len({entry.value for entry in entries}) > 1:
                several = " and ".join(sorted(map(_distribution, entries)))
                raise ConfigError(
                    f"the {what} {name!r} is registered more than once: by {several}",
                    hint="uninstall all but one of them",
                    code="AF546",
                )
            named = f"the {what} {name!r} of {_distribution(entries[0])}"
            return _import_type(named, entries[0].module, entries[0].attr, redactor=self._redactor)
        if plugin := plugins.by_name.get((what, name)):
            return plugin.found
        raise self._unknown(what, name)

    def _unknown(self, what: str, name: str) -> ConfigError:
        from aetherflow.plugins.searched_places import searched_places  # noqa: PLC0415 - as below
        from aetherflow.spec.suggest import did_you_mean  # noqa: PLC0415 - only an error needs it

        self._lacks_a_type = True
        known = self._names(what)
        hint = did_you_mean(name, known)
        if not hint and (broken := self.diagnostics):
            hint = f"perhaps it is in the plugin that cannot be loaded: {broken[0].file}:{broken[0].line}"
        hint = hint or f"installed: {', '.join(known)}"
        looked = searched_places(self.paths, self.own)
        hint = f"{hint}{'' if hint.endswith('?') else ';'} looked in: {looked}"
        return ConfigError(f"unknown {what} {name!r}", hint=hint, code="AF540")


def step_names() -> list[str]:
    """Return the names of all step types that ship, are installed, or were registered in this process."""
    return sorted({*Registry().step_names(), *(one.name for one in all_declared() if one.what == STEP)})


def connector_names() -> list[str]:
    """Return the names of all connectors that ship, are installed, or were registered in this process."""
    declared = (one.name for one in all_declared() if one.what == CONNECTOR)
    return sorted({*Registry().connector_names(), *declared})


def bundle_source(name: str) -> type[BundleSource]:
    """Return the class behind a type of bundle source, imported now if it was not.

    Raises:
        ConfigError: nothing that is installed implements it, or it cannot be imported.
    """
    from aetherflow.bundle.source import BundleSource  # noqa: PLC0415 - only bundles need it

    group = "aetherflow.bundle_sources"
    installed = _entries(group) if name not in SOURCES else {}
    if name not in SOURCES and name not in installed:
        there = ", ".join(sorted({*SOURCES, *installed}))
        raise ConfigError(
            f"no installed package implements bundle sources of type {name!r}",
            hint=f"install one that registers it under the entry points {group}; there is: {there}",
            code="AF861",
        )
    target = SOURCES.get(name) or installed[name][0].value
    found = _import_type(f"the bundle source {name!r}", *target.split(":"))
    if not (isinstance(found, type) and issubclass(found, BundleSource)):
        raise ConfigError(
            f"the bundle source {name!r} is registered, but what it names is no subclass of "
            "aetherflow.BundleSource",
            code="AF541",
        )
    return found


def observer_class(name: str, redactor: Redactor | None = None) -> Callable[[ObservedRun], EventObserver]:
    """Return what makes observers of this name, imported now if it was not.

    Raises:
        ConfigError: there is none of that name (with the nearest one), or it cannot be imported.
    """
    target = observer_target(name)
    found = _import_type(f"the observer {name!r}", *target.split(":"), redactor=redactor)
    if not callable(found):
        raise ConfigError(
            f"the observer {name!r} is registered, but what it names is a {type(found).__name__}",
            hint="register a class with the methods of aetherflow.EventObserver",
            code="AF541",
        )
    made: Callable[[ObservedRun], EventObserver] = found
    return made


def observer_target(name: str) -> str:
    """Return where an observer is, as `module:class`; nothing is imported.

    Raises:
        ConfigError: there is none of that name (with the nearest one).
    """
    if target := OBSERVERS.get(name):
        return target
    installed = _entries("aetherflow.observers")
    if name not in installed:
        from aetherflow.spec.suggest import did_you_mean  # noqa: PLC0415 - only an error needs it

        known = sorted({*OBSERVERS, *installed})
        raise ConfigError(
            f"there is no observer {name!r}",
            hint=did_you_mean(name, known) or f"correct the setting observers; there is: {', '.join(known)}",
            code="AF512",
        )
    return installed[name][0].value


def executor_names() -> list[str]:
    """Return the names of all executors that ship or are installed, but for `local`, which is no plugin."""
    return sorted({*EXECUTORS, *_entries("aetherflow.executors")})


def executor_class(name: str, redactor: Redactor | None = None) -> type[Executor]:
    """Return the class of an executor, imported now if it was not.

    Raises:
        ConfigError: there is none of that name (with the nearest one), or it cannot be imported.
    """
    from aetherflow.sdk.executor import Executor  # noqa: PLC0415 - only runs that have one

    group = "aetherflow.executors"
    installed = _entries(group) if name not in EXECUTORS else {}
    if name not in EXECUTORS and name not in installed:
        from aetherflow.spec.suggest import did_you_mean  # noqa: PLC0415 - only an error needs it

        known = sorted({"local", *EXECUTORS, *installed})
        raise ConfigError(
            f"there is no executor {name!r}",
            hint=did_you_mean(name, known) or f"there is: {', '.join(known)}",
            code="AF832",
        )
    target = EXECUTORS.get(name) or installed[name][0].value
    found = _import_type(f"the executor {name!r}", *target.split(":"), redactor=redactor)
    if not (isinstance(found, type) and issubclass(found, Executor)):
        raise ConfigError(
            f"the executor {name!r} is registered, but what it names is no subclass of aetherflow.Executor",
            code="AF541",
        )
    return found


def _shipped(what: str) -> Mapping[str, str]:
    return STEPS if what == STEP else CONNECTORS


def _entries(group: str) -> dict[str, list[EntryPoint]]:
    from aetherflow.plugins.entry_points import entries_of  # noqa: PLC0415 - only for names that do not ship

    return entries_of(group)


def _distribution(entry: EntryPoint) -> str:
    from aetherflow.plugins.entry_points import distribution  # noqa: PLC0415 - as above

    return distribution(entry)


def _import_type(what: str, module_name: str, attributes: str, *, redactor: Redactor | None = None) -> Any:
    """Return the object that an entry of a table names.

    Raises:
        ConfigError: it cannot be imported; says why.
    """
    redactor = redactor or Redactor()
    try:
        with held_back(redactor):
            module = import_module(module_name)
    except AetherFlowError as error:  # the error of a decorator that is used wrongly names its place
        raise ConfigError(f"{what}: {error.message}", hint=error.hint, code=error.code) from None
    except BaseException as error:  # a plugin may do anything when it is imported; it is named
        if is_our_cancellation(error):
            raise
        said = redactor.text(named(error))
        raise _not_imported(what, module_name, error, said) from None
    try:
        return attrgetter(attributes)(module)
    except AttributeError:
        message = f"{what}: {module_name} has no {attributes!r}"
        raise ConfigError(message, code="AF542") from None


def _at(error: BaseException) -> str:
    """Return ` at file:line`: the deepest line that the error passed, or the one that is no Python."""
    from traceback import extract_tb  # noqa: PLC0415 - only an error needs it

    if isinstance(error, SyntaxError):
        return f" at {error.filename}:{error.lineno}" if error.filename else ""
    lines = [frame for frame in extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    return f" at {lines[-1].filename}:{lines[-1].lineno}" if lines[1:] else ""


def _not_imported(what: str, module_name: str, error: BaseException, said: str) -> ConfigError:
    package = module_name.partition(".")[0]
    missing = error.name.partition(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else ""
    if missing and missing != package and package in PLUGIN_EXTRAS:
        return MissingExtra(
            f"{what} needs the package {missing!r}, which is not installed",
            hint=f"pip install 'aetherflow[{PLUGIN_EXTRAS[package]}]'",
        )
    return ConfigError(
        f"{what} cannot be imported from {module_name}: {said}{_at(error)}",
        hint="install what it needs, or repair or uninstall the plugin",
        code="AF542",
    )
