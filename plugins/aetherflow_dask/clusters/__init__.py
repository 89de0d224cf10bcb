"""Clusters that the executor `dask` starts itself, and ends when it is closed."""
