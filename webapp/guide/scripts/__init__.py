"""Scripts of the starting kit, which a visitor downloads; they use the standard library only."""
