"""Find out which parts of a workbook change when its rows move, and how."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import msgspec

from aetherflow_excel import part_changes, workbook_changes
from aetherflow_excel.formulas import Moves
from aetherflow_excel.linked_titles import has_lasting_value
from aetherflow_excel.package import Package, Sheet
from aetherflow_excel.workbook_changes import AddedPart

CONTENT_TYPES = "[Content_Types].xml"
Change = Callable[[str], str]


class PackageChanges(msgspec.Struct, frozen=True):
    """What changes in a package; parts are named in lower case, since case does not matter in their names.

    Attributes:
        texts: how the text of a part changes, except for sheets with cells.
        sheets: the sheets with cells by their part, those that are added too.
        added: the parts that the template does not have.
        dropped: the parts that the copy does not have.
    """

    texts: Mapping[str, Change]
    sheets: Mapping[str, Sheet]
    added: Sequence[AddedPart]
    dropped: frozenset[str]


def package_changes(
    package: Package, moves: Moves, new_sheets: Sequence[str], filters: Mapping[str, str]
) -> PackageChanges:
    """Return what changes in a package.

    Args:
        package: the workbook.
        moves: how references move.
        new_sheets: the names of sheets to add.
        filters: the areas with a new filter, as a formula, by the name of the sheet.
    """
    added = _added(package, new_sheets)
    sheets = {sheet.part.casefold(): sheet for sheet in package.sheets if sheet.has_cells}
    sheets |= {
        part.part.casefold(): Sheet(part.sheet, part.part, has_cells=True) for part in added if part.sheet
    }
    chains = [r for r in package.relations(package.workbook_part) if r.kind == "/calcChain"]
    dropped = [r.target for r in chains]
    texts: dict[str, Change] = {part.casefold(): change for part, change in _part_changes(package, moves)}
    order = [sheet.name for sheet in package.sheets] + list(new_sheets)
    indexes = {name: index for index, name in enumerate(order)}
    texts[package.workbook_part.casefold()] = lambda text: workbook_changes.workbook(
        text, moves, added, {indexes[name]: area for name, area in filters.items()}
    )
    texts[CONTENT_TYPES.casefold()] = lambda text: workbook_changes.content_types(text, added, dropped)
    if added or chains:
        folder, name = posixpath.split(package.workbook_part)
        rels = posixpath.join(folder, "_rels", name + ".rels").casefold()
        texts[rels] = lambda text: workbook_changes.relations(text, added, [r.id for r in chains])
    return PackageChanges(texts, sheets, added, frozenset(part.casefold() for part in dropped))


def _added(package: Package, new_sheets: Sequence[str]) -> list[AddedPart]:
    """Return the parts for new sheets, and for the styles of a workbook that has none."""
    folder = posixpath.dirname(package.workbook_part)
    ids = {r.id for r in package.relations(package.workbook_part)}
    wanted = [("worksheet", "worksheets/sheet", name) for name in new_sheets]
    if package.styles_part is None:
        wanted.append(("styles", "styles", ""))
    added: list[AddedPart] = []
    for kind, stem, sheet in wanted:
        taken = {part.target for part in added}
        number = 0
        target = f"{stem}.xml"
        while target in taken or package.find(posixpath.join(folder, target)):
            number += 1
            target = f"{stem}{number}.xml"
        rid = f"rIdAdded{len(added) + 1}"
        while rid in ids:
            rid += "x"
        added.append(AddedPart(posixpath.join(folder, target), target, kind, rid, sheet))
    return added


def _part_changes(package: Package, moves: Moves) -> Iterator[tuple[str, Change]]:
    """Yield the parts that sheets and pivot tables refer to, with how each changes."""
    for sheet in package.sheets:
        waiting = [sheet.part]
        while waiting:
            for relation in package.relations(waiting.pop()):
                change = part_changes.CHANGES.get(relation.kind)
                if change is None or relation.is_outside or package.find(relation.target) is None:
                    continue
                if change is part_changes.chart:
                    lasting = partial(has_lasting_value, package=package, moves=moves)
                    change = partial(part_changes.chart, has_lasting_value=lasting)
                yield relation.target, partial(change, sheet=sheet.name, moves=moves)
                if relation.kind == "/drawing":
                    waiting.append(relation.target)
    for relation in package.relations(package.workbook_part):
        if relation.kind == "/pivotCacheDefinition":
            yield relation.target, partial(part_changes.pivot_source, sheet="", moves=moves)
