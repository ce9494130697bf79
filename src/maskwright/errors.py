"""The one exception that a user is meant to read."""


class RecipeError(ValueError):
    """Something the user can mend. The message is one sentence that says what is wrong and names the cure.

    The entry points print it without a traceback and exit with status 2.
    """


class Refused(RecipeError):
    """A command does not go with the run that a folder holds; the folder stays as it was."""
