"""The command ``mtj``: run, validate and explain a job on this machine, and print its CustomResourceDefinition.

Invariant: nothing here imports torch or Ray, so that every answer that needs no training comes at once.
"""
