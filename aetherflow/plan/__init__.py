"""Compile a flow file to a plan: the graph of jobs, with every template and condition parsed. Pure."""
