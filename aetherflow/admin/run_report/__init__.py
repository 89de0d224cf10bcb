"""Gather what the page about a run shows: from its state database, its logs and its flow file.

`build_page` composes it. Everything is masked again here with the secrets that are known now, and cut to a
size that does not grow with the run; what is left out is named with the command that shows it.
"""
