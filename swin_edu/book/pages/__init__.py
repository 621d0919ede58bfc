"""How the book becomes web pages: the converter, the templates, and what the pages load."""
