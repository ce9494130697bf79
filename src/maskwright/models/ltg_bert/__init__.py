"""LTG-BERT (arXiv 2303.09859), a network of our own: transformers has none.

It is an ordinary transformers model, which the Auto classes load once maskwright is imported (`models.auto`). Nothing
is imported here, so that reading its config loads no network.
"""
