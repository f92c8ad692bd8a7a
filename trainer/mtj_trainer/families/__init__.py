"""Model families: each a small package that plugs into the one training loop."""
