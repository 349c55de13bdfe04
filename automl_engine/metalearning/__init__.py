"""What a run asks of past runs: score tables, meta-features, the selector in use."""
