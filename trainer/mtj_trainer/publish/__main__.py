"""``python -m mtj_trainer.publish --job FILE``."""

from mtj_trainer.publish.stage import publish
from mtj_trainer.stage import run_stage

if __name__ == "__main__":
    run_stage(publish)
