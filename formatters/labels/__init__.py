"""Which column is the label, for tables and for tables beside files, and what its cells mean."""
