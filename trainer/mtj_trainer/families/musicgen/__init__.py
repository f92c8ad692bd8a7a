"""Families ``musicgen`` and ``audiogen``: a transformer over a codec's tokens that follows a text."""
