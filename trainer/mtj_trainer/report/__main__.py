"""``python -m mtj_trainer.report --job FILE``."""

from mtj_trainer.report.stage import report
from mtj_trainer.stage import run_stage

if __name__ == "__main__":
    run_stage(report)
