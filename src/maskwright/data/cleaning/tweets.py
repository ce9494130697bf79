"""Short messages: user names and links become placeholders (HingBERT, arXiv 2204.08398; BERTweet, arXiv 2005.10200)."""

from __future__ import annotations

import re
from typing import Any

from maskwright.data.cleaning.base import Cleaning, check_placeholder
from maskwright.data.cleaning.web import URL

_USER = re.compile(r"(?<![\w@.])@\w{1,50}\b(?!@|\.\w+@)")  # not inside an e-mail address


class Tweets(Cleaning):
    """user, link: placeholders, or None to leave them."""

    def __init__(self, user: str | None = "[USER]", link: str | None = "[LINK]") -> None:
        self.user, self.link = user, link
        self.markers = tuple(marker for marker in (user, link) if marker is not None)
        for name, marker in (("user", user), ("link", link)):
            if marker is not None:
                check_placeholder(self._once, name, marker)

    def settings(self) -> dict[str, Any]:
        return {"cleaning": "tweets 1", "user": self.user, "link": self.link}

    def __call__(self, text: str, fields: dict[str, Any]) -> str:
        return self._once(text)

    def _once(self, text: str) -> str:
        if self.link is not None:
            text = URL.sub(self.link.replace("\\", "\\\\"), text)
        if self.user is not None:
            text = _USER.sub(self.user.replace("\\", "\\\\"), text)
        return text
