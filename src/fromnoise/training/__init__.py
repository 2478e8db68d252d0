"""Training: the loop, its budget, precision, optimisers, moving average, checkpoints and run folder.

Training does not import evaluation: validation and the choice of guidance are passed in.
"""
