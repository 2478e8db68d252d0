"""fromnoise: from a set of small images to a generative diffusion model with an honest score.

Importing the package costs nothing: PyTorch is imported by the modules that need it.
"""

import os

os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # of Apple's GPUs; read when PyTorch is imported

__version__ = "0.1.0"
