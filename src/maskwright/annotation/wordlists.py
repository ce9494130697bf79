"""Lists that the user gives: text files with one entry a line. Their content is part of the cache's keys."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from maskwright.errors import RecipeError


class WordList:
    """The lines of a file that hold anything, without the white space around them. setting: how the recipe names it.

    Raises RecipeError when the file is not set, not readable or empty.
    """

    def __init__(self, file: str | None, setting: str) -> None:
        if not file:
            raise RecipeError(f"{setting} is not set; name a UTF-8 text file with one entry a line.")
        try:
            content = Path(file).expanduser().read_bytes()
            lines = io.StringIO(content.decode("utf-8-sig"), newline=None)
            self.lines = [line.strip() for line in lines if line.strip()]
        except OSError as error:
            raise RecipeError(f"{setting}={file} cannot be read ({error.strerror}); name another file.") from None
        except UnicodeDecodeError:
            raise RecipeError(f"{setting}={file} is not UTF-8 text; convert it.") from None
        if not self.lines:
            raise RecipeError(f"{setting}={file} is empty; give one entry a line.")
        self.sha = hashlib.sha256(content).hexdigest()
