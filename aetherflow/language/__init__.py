"""The language of flows: `{{...}}` templates and `when` conditions, parsed once, rendered many times."""
