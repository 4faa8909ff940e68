"""What `python -m pipeline.export` does: finds a pushed version and what is known of it, writes it in another form."""
