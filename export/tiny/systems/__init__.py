"""Systems of dit4sr-tiny's size, trained side by side: the same data, recipe, VAE and number of parameters.

``python -m dit4sr.export.tiny.systems OUTPUT`` trains them, ``python -m dit4sr.bench.side_by_side OUTPUT``
compares them; what came out is in docs/systems.md. None of them ships.
"""

NAMES = ("dit4sr", "sd3-controlnet", "dpir")
"""Names of their architectures, and of the folders in which their checkpoints lie."""
