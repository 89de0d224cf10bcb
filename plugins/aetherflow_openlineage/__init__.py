"""OpenLineage: which run, job and step read and wrote which datasets (the extra `openlineage`)."""
