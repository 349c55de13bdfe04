"""The wrapper of challenge code, winners of the challenge and baselines."""
