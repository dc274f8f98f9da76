"""What is known of an image: points, superpixels, regions, and the target drawn from them."""
