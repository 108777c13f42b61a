"""The benchmark: ratios of CPU time against floors that stand here and peers from the index. `make bench`."""
