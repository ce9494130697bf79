"""Files that ship with the package; `python -m maskwright.data.assets` makes them again."""
