"""How ToyBirds are drawn: brush (shapes on a canvas), species (what a class looks like), bird, scene."""
