"""The keys that a target of both fill steps has, and what they mean when all defaults are filled in; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from aetherflow import data_files
from aetherflow_excel.casts import TypeCast
from aetherflow_excel.cell_values import OnIllegal

HeaderMode = Literal["template", "override", "append"]
HeaderStyle = Literal["template", "style_row"]
Insert = Literal["replace", "below"]
ClearMode = Literal["cell", "row"]
StyleMode = Literal["none", "copy_row"]
StyleApply = Literal["data", "header", "both"]
Mode = Literal["data_sheet", "report_region"]

Count = Annotated[int, Meta(ge=0)]
Width = Annotated[int, Meta(ge=1, le=16_384)]


class TargetKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where data go in a workbook, and how.

    Attributes:
        name: what errors and outputs call the target.
        anchor: a defined name, else a cell such as `Sheet!B4`, else the text of a cell; this or cell.
        cell: a cell of sheet, such as B4.
        sheet: the sheet of cell, or the only one where the text of anchor is searched.
        header_mode: template (the header of the template stays), override or append (the names of the
            columns are written).
        header_style: template (cells of the header keep their format) or style_row (they get that of the
            style row).
        header_clear: whether the row of the header is emptied before a header is written.
        header_clear_width: how many cells of it. Default: as many as there are columns.
        insert: replace (data overwrite what is there) or below (rows are inserted where the data begin, and
            what follows moves down).
        anchor_is_marker: whether the anchor only marks a place, and the region begins in the row below.
            Default: true, but false for a defined name.
        template_has_header: whether the first row of the region is a header, also when none is written.
            Default: as anchor_is_marker.
        anchor_clear: whether the cell of the anchor is emptied.
        anchor_clear_mode: cell, or row for the whole row of the anchor.
        anchor_clear_width: how many cells are emptied, from the anchor to the right. Default: 1 cell, or the
            whole row.
        type_cast: none (values as they are), basic (by their looks) or schema (as dtypes say). Default:
            schema if there are dtypes, else none.
        dtypes: the type of each column: string, int, float, decimal, bool, date, datetime or time; also as
            JSON text.
        dtypes_json: another name of dtypes.
        style_mode: copy_row gives the cells the formats of the style row.
        style_row_offset: where the style row is: so many rows below the anchor, if this is a marker, else
            below the first row of the region.
        style_apply: which cells get these formats: data, header or both.
        clear_style_row: whether the values of the style row are removed. If rows are inserted and it is the
            row where the data begin, the last row of data takes its place.
        on_illegal: what happens with a text that no cell can hold (control characters, more than 32,767
            characters): fail, or replace: it is changed until it fits.
    """

    name: str = "target"
    anchor: str | None = None
    cell: str | None = None
    sheet: str | None = None
    header_mode: HeaderMode | None = None
    header_style: HeaderStyle | None = "template"
    header_clear: bool | None = True
    header_clear_width: Width | None = None
    insert: Insert | None = None
    anchor_is_marker: bool | None = None
    template_has_header: bool | None = None
    anchor_clear: bool | None = False
    anchor_clear_mode: ClearMode | None = "cell"
    anchor_clear_width: Width | None = None
    type_cast: TypeCast | None = None
    dtypes: dict[str, str] | str | None = None
    dtypes_json: dict[str, str] | str | None = None
    style_mode: StyleMode | None = "none"
    style_row_offset: int | None = 2
    style_apply: StyleApply | None = "data"
    clear_style_row: bool | None = False
    on_illegal: OnIllegal | None = "fail"


def check_place(keys: TargetKeys, *, is_optional: bool = False) -> None:
    """Check that a target says where it is, once.

    Raises:
        ValueError: it has both anchor and cell, or neither although one is needed, or cell without a sheet.
    """
    if keys.anchor and keys.cell:
        raise ValueError("a target has anchor or cell, not both")
    if not (keys.anchor or keys.cell or is_optional):
        raise ValueError("a target needs anchor or cell")
    if keys.cell and not keys.sheet and not is_optional:
        raise ValueError("cell needs sheet")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A target with all defaults that do not depend on the template.

    Attributes:
        name: what errors and outputs call it.
        anchor: a name, reference or text; empty if cell is given.
        cell: a cell of the sheet; empty if anchor is given.
        sheet: the sheet, or empty.
        mode: whether the sheet is for data alone, or a report that has a region for them.
        header_mode: where the header comes from.
        header_style: the format of the header.
        header_clear: whether the row of the header is emptied first.
        header_clear_width: how many cells of it; None: as many as there are columns.
        insert: whether rows are inserted.
        anchor_is_marker: whether the region begins below the anchor; None: by the kind of the anchor.
        template_has_header: whether the region begins with a header; None: if the anchor is a marker.
        anchor_clear_width: how many cells are emptied from the anchor on; 0: none, None: the whole row.
        type_cast: how types are found.
        dtypes: types by column.
        copies_style_row: whether data cells get the formats of the style row.
        style_mode: as it is written.
        header_of_style_row: whether the header gets these formats.
        style_row_offset: where the style row is.
        clear_style_row: whether its values are removed.
        on_illegal: what happens with a text that no cell can hold.
        makes_sheet: whether the sheet is made if it does not exist.
        freeze_panes: whether the header of a data sheet stays in view.
        autofilter: whether it gets a filter.
        header_bold: whether it is bold.
    """

    name: str
    anchor: str
    cell: str
    sheet: str
    mode: Mode
    header_mode: HeaderMode
    header_style: HeaderStyle
    header_clear: bool
    header_clear_width: int | None
    insert: Insert
    anchor_is_marker: bool | None
    template_has_header: bool | None
    anchor_clear_width: int | None
    type_cast: TypeCast
    dtypes: Mapping[str, data_files.Column]
    style_mode: StyleMode
    copies_style_row: bool
    header_of_style_row: bool
    style_row_offset: int
    clear_style_row: bool
    on_illegal: OnIllegal
    makes_sheet: bool = False
    freeze_panes: bool = True
    autofilter: bool = True
    header_bold: bool = True

    @property
    def writes_header(self) -> bool:
        """Whether the names of the columns are written."""
        return self.header_mode != "template"


def settled(
    keys: TargetKeys, *, mode: Mode, default_header: HeaderMode, default_insert: Insert, **own: Any
) -> Target:
    """Return a target with its defaults; `own` are fields that differ between the steps.

    Raises:
        StepError: dtypes are no mapping, or have an unknown word (AF901).
    """
    dtypes = data_files.read_dtypes(keys.dtypes, keys.dtypes_json)
    style_mode = keys.style_mode or "none"
    apply = keys.style_apply or "data"
    copies = style_mode == "copy_row"
    whole_row = (keys.anchor_clear_mode or "cell") == "row" and keys.anchor_clear_width is None
    fields: dict[str, Any] = {
        "name": keys.name,
        "anchor": keys.anchor or "",
        "cell": keys.cell or "",
        "sheet": keys.sheet or "",
        "mode": mode,
        "header_mode": keys.header_mode or default_header,
        "header_style": keys.header_style or "template",
        "header_clear": keys.header_clear is not False,
        "header_clear_width": keys.header_clear_width,
        "insert": keys.insert or default_insert,
        "anchor_is_marker": keys.anchor_is_marker,
        "template_has_header": keys.template_has_header,
        "anchor_clear_width": 0
        if not keys.anchor_clear
        else None
        if whole_row
        else keys.anchor_clear_width or 1,
        "type_cast": keys.type_cast or ("schema" if dtypes else "none"),
        "dtypes": dtypes,
        "style_mode": style_mode,
        "copies_style_row": copies and apply in {"data", "both"},
        "header_of_style_row": keys.header_style == "style_row" or (copies and apply in {"header", "both"}),
        "style_row_offset": 2 if keys.style_row_offset is None else keys.style_row_offset,
        "clear_style_row": bool(keys.clear_style_row),
        "on_illegal": keys.on_illegal or "fail",
    }
    return Target(**(fields | own))
