"""Cleaning: what is done to the text of each document before anything else (conf/cleaning)."""

from maskwright.data.cleaning.base import Cleaning, Rewriting, Several
from maskwright.data.cleaning.metadata import Metadata
from maskwright.data.cleaning.recover import Recover
from maskwright.data.cleaning.sparql import Sparql
from maskwright.data.cleaning.tweets import Tweets
from maskwright.data.cleaning.urls import Urls
from maskwright.data.cleaning.web import Web

__all__ = ["Cleaning", "Metadata", "Recover", "Rewriting", "Several", "Sparql", "Tweets", "Urls", "Web"]
