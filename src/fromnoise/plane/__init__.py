"""Diffusion on points of the plane, where everything can be seen and, for a mixture, computed exactly."""
