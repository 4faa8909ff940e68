"""Text as token ids: what training and evaluation read."""
