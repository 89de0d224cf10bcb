"""The step `excel_validate_template`: check that a template has the names and texts that a flow needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from aetherflow import PathText, StepContext, StepError, step
from aetherflow_excel.anchor_search import defined_name, find_texts, key_of, named_area, normalised
from aetherflow_excel.cell_references import place_name
from aetherflow_excel.workbook_file import opened_workbook, worksheet


class ValidateTemplateInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inputs of `excel_validate_template`.

    Attributes:
        template_path: the workbook, relative to the job's artifacts.
        required_names: names that it must have, each a defined name or the whole text of a cell: a list, such
            a list as JSON text, or one name.
        sheet: the only sheet in which texts are searched.
    """

    template_path: Annotated[PathText, Meta(min_length=1)]
    required_names: list[str] | str
    sheet: str | None = None

    @property
    def names(self) -> list[str]:
        """The names as a list."""
        if not isinstance(self.required_names, str):
            return self.required_names
        text = self.required_names.strip()
        try:
            return msgspec.json.decode(text, type=list[str])
        except msgspec.DecodeError:
            return [text] if text else []


class ValidateTemplateOutput(msgspec.Struct, frozen=True):
    """The outputs of `excel_validate_template`.

    Attributes:
        template_ok: true; else the step has failed.
        found_named_ranges: the required names that are defined names, sorted.
        found_anchor_cells: the other ones, which are texts of cells, sorted.
        places: where each is, such as Report!B4.
    """

    template_ok: bool
    found_named_ranges: list[str]
    found_anchor_cells: list[str]
    places: dict[str, str]


@step("excel_validate_template")
async def excel_validate_template(ctx: StepContext, inputs: ValidateTemplateInput) -> ValidateTemplateOutput:
    """Check that a workbook can be filled, and has the names and texts that a flow needs.

    Raises:
        StepError: it is no workbook, or lacks a name.
    """
    template = await ctx.run_sync(ctx.path, inputs.template_path)
    return await ctx.run_sync(_validate, ctx, template, inputs.names, inputs.sheet or "")


def _validate(ctx: StepContext, template: Path, required: list[str], sheet: str) -> ValidateTemplateOutput:
    named, places = [], {}
    with opened_workbook(template) as package:
        for name in required:
            if found := defined_name(package, name, sheet):
                area = named_area(package, found)
                named.append(name)
                places[name] = place_name(area.sheet, area.row, area.column)
        texts = [name for name in required if name not in places]
        sheets = [worksheet(package, sheet)] if sheet else [one for one in package.sheets if one.has_cells]
        cells = find_texts(package, sheets, texts, None, ctx.raise_if_stopping) if texts else {}
    for text in texts:
        for cell in cells[key_of(text)]:
            if normalised(cell.text) == normalised(text):
                places.setdefault(text, place_name(cell.sheet, cell.row, cell.column))
    if missing := [name for name in required if name not in places]:
        where = f"the sheet {sheet!r} of {template}" if sheet else f"the template {template}"
        raise StepError(
            f"{where} has no name and no cell {', '.join(map(repr, missing))}",
            hint="define the name (Formulas, Define Name), or write the text into a cell; case matters",
            code="AF963",
            detail={"missing": missing},
        )
    return ValidateTemplateOutput(
        template_ok=True,
        found_named_ranges=sorted(set(named)),
        found_anchor_cells=sorted(set(texts)),
        places=places,
    )
