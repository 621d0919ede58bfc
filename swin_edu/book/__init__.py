"""The machinery of the book: what makes it open, run, draw and test itself."""
