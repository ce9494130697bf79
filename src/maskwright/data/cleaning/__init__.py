"""Cleaning: what is done to the text of each document before anything else (conf/cleaning)."""

from maskwright.data.cleaning.base import Cleaning, cleaned

__all__ = ["Cleaning", "cleaned"]
