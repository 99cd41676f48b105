"""Records in a file, exactly as they passed: written by a tap, given again by a source."""
