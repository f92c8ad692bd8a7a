"""From source music to training data: standardized, cut, described, split, and stored as shards."""
