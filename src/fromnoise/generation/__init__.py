"""A network with all it takes to draw images from it, and the drawing of any number of them."""
