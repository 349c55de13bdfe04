"""Tables of any format: reading, columns, which column is the label."""
