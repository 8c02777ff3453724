"""A competition of this kit, written for other platforms: a folder for each of them."""
