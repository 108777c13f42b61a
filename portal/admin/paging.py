"""Pages of long lists, each of which begins below an id."""

from flask import request, url_for

from portal.errors import InvalidInput

LONGEST_ID = 18  # digits


def before() -> int | None:
    """Return the id that a page begins below; None for the first page. Raises InvalidInput if it is not a
    number.
    """
    given = request.args.get("before", "")
    if given and not (given.isascii() and given.isdigit() and len(given) <= LONGEST_ID):
        words = "This page of the list does not exist."
        raise InvalidInput(words, errors={"before": words}, action=(url_for(".index"), "See the newest"))
    return int(given) if given else None
