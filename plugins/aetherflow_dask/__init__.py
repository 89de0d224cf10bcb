"""Attempts of steps on the workers of a Dask cluster: the executor `dask` (the extra `dask`)."""
