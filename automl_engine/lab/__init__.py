"""Studies that no run needs: benchmarks, parameter search, pretraining, meta-learning. No room imports this one."""
