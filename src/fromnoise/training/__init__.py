"""Training: the loop, its budget, precision, optimisers, moving average, checkpoints and run folder.

Training knows nothing of evaluation: what watches it is handed in.
"""
