"""``python -m mtj_trainer.evaluate --job FILE``."""

from mtj_trainer.evaluate.stage import evaluate
from mtj_trainer.stage import run_stage

if __name__ == "__main__":
    run_stage(evaluate)
