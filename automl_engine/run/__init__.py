"""A training run: its supervisor, the child process that trains, the journal and the scores."""
