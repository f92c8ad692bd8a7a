"""The stages of a MusicTrainingJob: prepare, train, evaluate, report, publish.

Invariant: knows nothing of Kubernetes or the operator; a stage is a command that reads a resolved job and
keeps the contract of ``mtj_api.contract``.
"""
