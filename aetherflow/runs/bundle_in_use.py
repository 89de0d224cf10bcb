"""Hold the snapshot of a bundle that a command uses, even if another one becomes active meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec

from aetherflow.bundle.bundle_paths import BundlePaths, fingerprint_of
from aetherflow.bundle.snapshot import Hold
from aetherflow.config.environment import Environment, load_environment
from aetherflow.config.project import project_of
from aetherflow.config.restrictions import ENTERPRISE, Restrictions, restrictions_of
from aetherflow.config.settings import Settings
from aetherflow.errors import Diagnostic, UsageError
from aetherflow.events.bundle_use import BundleUse
from aetherflow.redaction import Redactor
from aetherflow.spec.load_manifest import ManifestDocument, stays_inside
from aetherflow.spec.suggest import did_you_mean
from aetherflow.working_directory import absolute
from aetherflow.written_path import written_path

FLOW_SUFFIXES = (".yaml", ".yml")
FLOWS_TOLD = 20


class OpenBundle(msgspec.Struct, frozen=True):
    """A snapshot of a bundle that stays as long as this is not closed; use it in a `with` block.

    Attributes:
        stale: why it is not known to be what the source holds now; empty if it is.
    """

    manifest: ManifestDocument
    paths: BundlePaths
    hold: Hold
    stale: str = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hold.close()

    @property
    def id(self) -> str:
        """The id of the bundle."""
        return self.manifest.spec.bundle.id

    @property
    def root(self) -> Path:
        """The root of its files."""
        return self.hold.path

    @property
    def fingerprint(self) -> str:
        """The fingerprint of all its files."""
        return fingerprint_of(self.root.name)

    def plugin_paths(self, mode: str) -> list[Path]:
        """Return where plugins are; in enterprise mode only what `paths` of the manifest names."""
        inside = self.manifest.spec.bundle.layout.plugins_dir
        own = [self.root / inside] if inside and mode != ENTERPRISE else []
        return [*own, *self._on_machine(self.manifest.spec.paths.plugins)]

    def restrictions(self, settings: Settings) -> Restrictions:
        """Return what the mode of a run forbids."""
        paths = self.manifest.spec.paths
        allowed = (self.root, *self._on_machine(paths.allow), *self._on_machine(paths.plugins))
        return restrictions_of(settings, allowed, self.manifest.spec.zip_drivers)

    def _on_machine(self, texts: str | list[str]) -> list[Path]:
        """Return what `paths` of the manifest names; relative paths start at its folder."""
        names = [texts] if isinstance(texts, str) else texts
        return [written_path(name, self.manifest.directory) for name in names]

    @property
    def variables(self) -> dict[str, str]:
        """The variables by which a flow finds its bundle."""
        return {
            "AETHERFLOW_LOCAL_ROOT_DIR": str(self.paths.root),
            "AETHERFLOW_ACTIVE_DIR": str(self.root),
            "AETHERFLOW_CACHE_DIR": str(self.paths.cache),
        }

    def environment(
        self, process_env: Mapping[str, str], redactor: Redactor, flow: Path
    ) -> tuple[Environment, tuple[Diagnostic, ...]]:
        """Return the environment of a run of the bundle, with its env files, its variables and its profiles.

        The project file beside the manifest, or above it, is this machine's; one inside the bundle wins.
        The second result is a warning for each project file that is ignored.

        Raises:
            ConfigError: an env file, a setting or the secrets provider cannot be used.
            InvalidInput: a project file is wrong, or `AETHERFLOW_ENV_FILES_JSON` is not a list of entries.
        """
        outside, inside = project_of(self.manifest.path), project_of(flow, self.root)
        environment = load_environment(
            process_env,
            project=outside.project,
            bundle_project=inside.project,
            bundle_env_files=self.manifest.spec.env_files,
            bundle_directory=self.root,
            bundle_variables=self.variables,
            is_enterprise=self.manifest.spec.mode == ENTERPRISE,
            redactor=redactor,
        )
        ignored = (*outside.ignored, *inside.ignored)
        settings, profiles = environment.settings, self.manifest.spec.bundle.layout.profiles_file
        if not profiles or settings.profiles_file or settings.profiles_json:
            return environment, ignored
        sources = settings.sources | {"profiles_file": f"bundle {self.id}"}
        settings = msgspec.structs.replace(settings, profiles_file=self.root / profiles, sources=sources)
        return msgspec.structs.replace(environment, settings=settings), ignored

    def flow_file(self, flow: Path | None) -> Path:
        """Return the file of a flow of the bundle; without one (None, or an empty path) of the entry flow.

        It is searched in `layout.flows_dir`, then in the root of the bundle.

        Raises:
            UsageError: there is none, or no entry flow.
        """
        bundle = self.manifest.spec.bundle
        name = bundle.entry_flow if flow is None or not flow.name else str(flow)
        if not name:
            raise UsageError(
                f"the bundle {self.id!r} has no entry flow",
                hint=f"name a flow of it, or add bundle.entry_flow to {self.manifest.path}",
                code="AF865",
            )
        flows = self.root / bundle.layout.flows_dir
        if stays_inside(name):
            for path in (flows / name, self.root / name):
                if path.is_file():
                    return path
        there = sorted(
            path.relative_to(flows).as_posix()
            for path in flows.rglob("*")
            if path.suffix in FLOW_SUFFIXES and path.is_file()
        )
        known = f"in {bundle.layout.flows_dir}: {', '.join(there[:FLOWS_TOLD]) or 'none'}"
        raise UsageError(
            f"the bundle {self.id!r} has no flow {name!r}",
            hint=did_you_mean(name, there) or known,
            code="AF865",
        )

    def use(self, flow: Path) -> BundleUse:
        """Return what a run remembers of the bundle it has its flow from."""
        return BundleUse(
            id=self.id,
            fingerprint=self.fingerprint,
            manifest=str(absolute(self.manifest.path)),
            flow=flow.relative_to(self.root).as_posix(),
            stale=self.stale,
        )
