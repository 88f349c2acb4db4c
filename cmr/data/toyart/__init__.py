"""How ToyBirds are drawn.

brush: shapes on a canvas. species: what a class looks like. pose, feathers, bird: the bird. plants, distractors, scene:
what is around it.
"""
