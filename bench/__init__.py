"""Side-by-side benchmarks: every figure that counts is a ratio between two cases of one run."""
