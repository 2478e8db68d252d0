"""A network with all it takes to sample images from it, edit images with it, and tell how likely it finds them."""
