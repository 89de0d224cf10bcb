"""OpenLineage: which run, job and step read and wrote which data sets (the extra `openlineage`)."""
