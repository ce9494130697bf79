"""Seeing: masks on the screen, as JSON and as a page, and the annotations that maskings read. Nothing is trained."""
