"""Annotations made visible: the artefacts and columns of a recipe, built or opened without training."""
