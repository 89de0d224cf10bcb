"""The manual: Markdown pages that ship in the wheel, and the code that reads them. Imports nothing else."""
