"""The manual: Markdown pages that ship in the wheel, and what reads them. No other room is imported."""
