"""The work behind `python -m pipeline.export`: finds a pushed version, and writes it in another form."""
