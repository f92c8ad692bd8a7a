"""Judging a trained model: against held-out music, against baselines on the same tokens, and by what it plays."""
