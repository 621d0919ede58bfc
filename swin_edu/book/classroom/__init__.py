"""The classroom: items and their checks, assignments, and grading in a sandbox."""
