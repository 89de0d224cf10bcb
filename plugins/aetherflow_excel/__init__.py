"""The Excel plugin: fill the workbooks that a business designed, check templates, read sheets."""
