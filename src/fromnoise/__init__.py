"""fromnoise: from a set of small images to a generative diffusion model with an honest score.

Importing the package costs nothing: PyTorch is imported by the modules that need it.
"""

__version__ = "0.1.0"
