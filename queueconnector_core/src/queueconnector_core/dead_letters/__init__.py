"""Records that failed: written as letters, read back, repaired and driven through once more."""
