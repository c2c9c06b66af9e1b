"""Reads RSS 2.0 feeds."""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from xml.etree import ElementTree


@dataclass(frozen=True)
class Item:
    """One article of a feed."""

    guid: str
    title: str
    link: str
    category: str
    published: datetime


def parse(feed: str) -> list[Item]:
    """Reads all items of a feed, newest first.

    Args:
        feed: The XML text of an RSS 2.0 document.

    Returns:
        The items; an item without a guid is known by its link.
    """
    items = []
    for node in ElementTree.fromstring(feed).iter("item"):
        link = node.findtext("link", default="")
        items.append(
            Item(
                guid=node.findtext("guid") or link,
                title=node.findtext("title", default="").strip(),
                link=link,
                category=node.findtext("category", default="nyheter").strip().lower(),
                published=parsedate_to_datetime(node.findtext("pubDate", default="")),
            )
        )
    return sorted(items, key=lambda item: item.published, reverse=True)
