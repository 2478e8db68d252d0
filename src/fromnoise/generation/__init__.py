"""A network with all it takes to sample images from it, and to say how likely it thinks others are."""
