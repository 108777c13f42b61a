"""Lists with cursors and filters."""

from typing import Any

from portal.sandbox.account import Account
from portal.sandbox.api.errors import StripeError, missing

Json = dict[str, Any]
COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def of(items: list[Json], url: str, has_more: bool = False) -> Json:
    """Return a list object."""
    return {"object": "list", "data": items, "has_more": has_more, "url": url}


def page(
    account: Account,
    kind: str,
    params: Json,
    url: str,
    filters: Json | None = None,
    among: Json | None = None,
    only: str = "1",
    spans: Json | None = None,
) -> Json:
    """Return one page of a kind's objects, newest first.

    `filters` map a JSON path such as "$.customer" to its value, `among` to the allowed values, `spans` to a time
    or to a span such as {"gte": 1}; null does not filter. `only` is an SQL condition, a constant.
    """
    limit = size(params)
    where, values = _conditions(params, filters or {}, among or {}, spans or {})
    where.append(only)
    backwards = bool(params.get("ending_before"))
    cursor = params.get("ending_before") or params.get("starting_after")
    if cursor:
        where.append(f"seq {'>' if backwards else '<'} ?")
        values.append(_position(account, kind, cursor, "ending_before" if backwards else "starting_after"))
    found = account.store.select(
        account.mode, kind, " AND ".join(where), *values, limit=limit + 1, oldest_first=backwards
    )
    items = found[:limit]
    return of(items[::-1] if backwards else items, url, len(found) > limit)


def _conditions(params: Json, filters: Json, among: Json, spans: Json) -> tuple[list[str], list[Any]]:
    where, values = ["1"], list[Any]()
    for path, wanted in filters.items():
        if wanted is not None:
            where.append(f"json_extract(json, '{path}') IS ?")
            values.append(wanted)
    for path, choices in among.items():
        if choices:
            where.append(f"json_extract(json, '{path}') IN ({', '.join('?' * len(choices))})")
            values += choices
    times = {"created": params.get("created")} | {f"json_extract(json, '{p}')": span for p, span in spans.items()}
    for column, span in times.items():
        for comparison, moment in _comparisons(span).items():
            where.append(f"{column} {comparison} ?")
            values.append(moment)
    return where, values


def slice_of(items: list[Json], params: Json, url: str) -> Json:
    """Return one page of an existing list, in its order."""
    limit, ids = size(params), [item["id"] for item in items]
    start, end = 0, len(items)
    if params.get("starting_after"):
        start = _index(ids, params["starting_after"], "starting_after") + 1
    if params.get("ending_before"):
        end = _index(ids, params["ending_before"], "ending_before")
        start = max(start, end - limit)
    return of(items[start : min(end, start + limit)], url, end - start > limit or (end < len(items) and start > 0))


def size(params: Json) -> int:
    """Return the page size. Raises StripeError."""
    limit = params.get("limit")
    if limit is None:
        return 10
    if not 1 <= limit <= 100:
        words = (
            f"This value must be {'greater' if limit < 1 else 'less'} than or equal to {1 if limit < 1 else 100}."
        )
        raise StripeError(words, code="parameter_invalid_integer", param="limit")
    return int(limit)


def _comparisons(span: Any) -> Json:
    if span is None:
        return {}
    if not isinstance(span, dict):
        return {"=": int(span)}
    return {COMPARISONS[name]: int(moment) for name, moment in span.items() if moment is not None}


def _position(account: Account, kind: str, cursor: str, param: str) -> int:
    found = account.store.rows(
        "SELECT seq FROM objects WHERE id = ? AND mode = ? AND type = ?", cursor, account.mode, kind
    )
    if not found:
        raise missing(kind, cursor, param)
    return int(found[0][0])


def _index(ids: list[str], id_: str, param: str) -> int:
    if id_ not in ids:
        raise missing("line item", id_, param)
    return ids.index(id_)
