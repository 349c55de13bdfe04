"""How to weigh the members of ``auto``: rules compared on recorded runs."""
