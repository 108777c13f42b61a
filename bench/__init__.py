"""The benchmark: ratios of CPU time to minimal versions and to peers. `make bench`."""
