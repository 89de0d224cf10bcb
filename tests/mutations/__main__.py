"""Change code at random and show which changes no test notices: `python -m tests.mutations [PACKAGE ...]`.

Why it is our own: mutmut (3.8) changes functions only, by a switch in the environment that tests with an
environment of their own do not pass on to the command. cosmic-ray (8.7) writes its changes into the work
tree, one at a time, and leaves the last one there when it is killed. Neither takes a sample by a seed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.mutations import choice, explained
from tests.mutations.trial import Project, Trial, sample, trials

ENOUGH = 0.95


def main(arguments: Sequence[str] | None = None) -> int:
    """Try mutants and print the survivors; 1 if fewer than 95 % were noticed or explained."""
    options = _options(arguments)
    project = Project(
        options.root.resolve(),
        Path(options.package),
        tuple(options.path),
        tuple(f"--deselect={test}" for test in options.deselect),
    )
    if options.changed:
        files = choice.changed(project.root, project.package, options.changed)
    else:
        files = choice.sources(project.root, project.package, options.names or choice.CORE)
    mutants = sample(project, files, options.count, options.seed)
    _print(f"seed {options.seed}: {len(mutants)} mutants of {len(files)} files")
    known = explained.load(options.explained)
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell lets what is in the background ignore it
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    done: list[tuple[str, Trial]] = []
    for trial in trials(project, mutants, options.workers):
        why = explained.explanation(trial.mutant, trial.source, known) if trial.fate == "survived" else None
        done.append(("explained" if why else trial.fate, trial))
        if trial.fate == "survived" or options.verbose:
            _print(_shown(trial, why.why if why else None, verbose=options.verbose))
    for one in explained.outdated(known, project.root):
        _print(f"outdated explanation: {one.file}: {one.before}")
    return _summary(done, options.seed)


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "names",
        nargs="*",
        metavar="PACKAGE",
        help="store, store/journal or a path; the core if none is given",
    )
    parser.add_argument(
        "--changed",
        nargs="?",
        const="main",
        metavar="COMMIT",
        help="the files that changed since this branch left COMMIT (main)",
    )
    parser.add_argument("--count", type=int, default=40, help="how many mutants (40)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument(
        "--deselect", action="append", default=[], metavar="TEST", help="leave out a test that fails anyway"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show also what was noticed, and by which test"
    )
    here = Path(__file__)
    parser.add_argument("--root", type=Path, default=here.parents[2], help=argparse.SUPPRESS)
    parser.add_argument("--package", default="aetherflow", help=argparse.SUPPRESS)
    parser.add_argument("--path", action="append", help=argparse.SUPPRESS)
    parser.add_argument(
        "--explained", type=Path, default=here.with_name("explained.toml"), help=argparse.SUPPRESS
    )
    options = parser.parse_args(arguments)
    options.path = options.path or [".", "plugins"]
    return options


def _shown(trial: Trial, why: str | None, *, verbose: bool) -> str:
    """Return a mutant as text: where it is, its lines before and after, and the reason if it is explained."""
    fate = "explained" if why else trial.fate
    before, after = trial.mutant.lines(trial.source)
    lines = [f"{fate}: {trial.mutant.file}:{trial.mutant.line(trial.source)}"]
    lines += [f"  - {line.strip()}" for line in before] + [f"  + {line.strip()}" for line in after]
    if why:
        lines.append(f"  {why}")
    if verbose and trial.output:
        failed = [line for line in trial.output.splitlines() if line.startswith(("FAILED", "ERROR"))]
        lines += [f"  {line}" for line in failed[-1:] or trial.output.splitlines()[-1:]]
    return "\n".join(lines)


def _summary(done: Sequence[tuple[str, Trial]], seed: int) -> int:
    """Print the rates of each package and of all; return the exit code."""

    def row(name: str, fates: Sequence[str]) -> str:
        count = Counter(fates)
        noticed = count["noticed"] + count["hangs"]
        share = f"{100 * noticed / len(fates):.0f} %" if fates else "-"
        return (
            f"{name:<24} {len(fates):>4} mutants, {noticed:>4} noticed ({share}; {count['hangs']} hang), "
            f"{count['explained']} explained, {count['survived']} not"
        )

    packages = sorted({str(Path(trial.mutant.file).parent) for _, trial in done})
    for package in packages:
        _print(row(package, [fate for fate, trial in done if str(Path(trial.mutant.file).parent) == package]))
    fates = [fate for fate, _ in done]
    _print(row(f"all (seed {seed})", fates))
    return 0 if fates.count("survived") <= (1 - ENOUGH) * len(fates) else 1


if __name__ == "__main__":
    sys.exit(main())
