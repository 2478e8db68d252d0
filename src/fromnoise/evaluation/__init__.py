"""How good are the images: features, the Fréchet distance, and the score with its floor and copycat."""
