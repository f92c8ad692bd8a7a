"""The report: one page that shows what a job did, and ``figures.json`` with the same numbers."""
