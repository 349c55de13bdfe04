"""What ``up`` starts, and the programs that only it starts."""
