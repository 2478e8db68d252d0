"""The process: noise levels, schedules, forward, backward, predictions, objective, samplers.

Nothing here knows of images, files or the command line: tensors in, tensors out.
"""
