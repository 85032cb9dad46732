"""`GET /v1/stores/{store}/changes`: pages, cursors, and that all of the feed comes through."""

from __future__ import annotations

from dataclasses import dataclass

from edge.verify.check import Checks
from edge.verify.platform import field, plain
from edge.verify.verdict import Open, Wrong
from edge.verify.visit import Json, Visit, last_words

check = Checks()

PAGE = '200 {"cursor":"…","more":false,"changes":[…]}'
LIMIT, PAGES = 500, 100
"""Changes a gateway asks for at once; pages that are read of a long feed."""
SMALL, SMALL_PAGES = 2, 60
EMPTY_PAGES = 3
"""Empty pages with `more` in a row that are no accident."""
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Page:
    cursor: str
    more: bool
    changes: list[Json]


async def pull(visit: Visit, since: str | None, limit: int = LIMIT) -> Page:
    """One page. Raises Wrong if it has not the form."""
    query = {"limit": str(limit), **({} if since is None else {"since": since})}
    answer = await visit.platform.get(visit.feed, query)
    if answer.status == 404:
        raise Wrong(PAGE, f"{answer}; does it know that store? name one that it knows with --store")
    body = answer.json(PAGE)
    if not isinstance(body, dict):
        raise Wrong(PAGE, str(answer))
    cursor, more, changes = (body.get(name) for name in ("cursor", "more", "changes"))
    if not isinstance(cursor, str) or not cursor:
        raise Wrong("cursor: a text, not empty", f"{answer.asked} has {field(body, 'cursor')}")
    if not isinstance(more, bool):
        raise Wrong("more: true or false", f"{answer.asked} has {field(body, 'more')}")
    if not isinstance(changes, list) or not all(isinstance(change, dict) for change in changes):
        raise Wrong("changes: a list of objects", f"{answer.asked} has {field(body, 'changes')}")
    if len(changes) > limit:
        raise Wrong(f"at most {limit} changes with limit={limit}", f"{answer.asked} has {len(changes)}")
    return Page(cursor, more, changes)


async def walk(visit: Visit, since: str | None, limit: int, pages: int) -> list[Page]:
    """Pages from there to the end, or so many. Raises Wrong if it does not move on."""
    walked: list[Page] = []
    empty = 0
    while len(walked) < pages:
        page = await pull(visit, since, limit)
        walked.append(page)
        if not page.more:
            break
        empty = 0 if page.changes else empty + 1
        if page.cursor == since or empty == EMPTY_PAGES:
            still = "with the cursor it was asked with" if page.cursor == since else f"{empty} empty pages in a row"
            raise Wrong("a page that moves on while more is true", f"page {len(walked)}: more is true {still}")
        since = page.cursor
    return walked


@check("feed.first", "reachable")
async def first(visit: Visit) -> str:
    pages = await walk(visit, None, LIMIT, PAGES)
    visit.changes, visit.complete = [change for page in pages for change in page.changes], not pages[-1].more
    visit.cursor = pages[-1].cursor
    end = "" if visit.complete else f", {len(pages)} pages of {LIMIT} and there are more"
    return f"{len(visit.changes)} changes{end}"


@check("feed.end", "feed.first")
async def end(visit: Visit) -> str:
    page = await pull(visit, visit.cursor)
    if page.changes and all(change in visit.changes for change in page.changes):
        again = f"{len(page.changes)} of the changes that came before this cursor come again"
        raise Wrong("changes since the cursor only", again)
    return "after a cursor there is nothing but what came since"


@check("feed.paging", "feed.end")
async def paging(visit: Visit) -> str:
    if len(visit.changes) <= SMALL:
        raise Open("the feed is too short for a second page: put a customer, an identifier and a product into it")
    pages = await walk(visit, None, SMALL, SMALL_PAGES)
    walked = [change for page in pages for change in page.changes]
    if pages[-1].more:
        return f"{len(pages)} pages with limit={SMALL}, and there are more"
    whole = last_words(visit.changes)
    lacks = await _still_there(visit, whole.keys() - last_words(walked).keys())
    if lacks and visit.complete:
        kind, key = lacks[0]
        what = f"{kind} {plain(key)} and {len(lacks) - 1} others" if len(lacks) > 1 else f"{kind} {plain(key)}"
        raise Wrong(f"with limit={SMALL} page by page all that comes with limit={LIMIT}", f"{what} did not come")
    return f"{len(pages)} pages with limit={SMALL} have all that one of {LIMIT} has"


async def _still_there(visit: Visit, lacks: set[Key]) -> list[Key]:
    """Which of these the feed has now: what left it meanwhile is not missing."""
    pages = await walk(visit, None, LIMIT, PAGES) if lacks else []
    return sorted(lacks & last_words([change for page in pages for change in page.changes]).keys())


@check("feed.cursor", "feed.paging")
async def cursor(visit: Visit) -> str:
    """As after a crash between a page's answer and its commit."""
    since = (await pull(visit, None, SMALL)).cursor
    wants = "the same or later changes when a cursor comes again"
    once = await pull(visit, since, SMALL)
    try:
        again = [change for page in await walk(visit, since, SMALL, 3) for change in page.changes]
    except Wrong as wrong:
        raise Wrong(wants, wrong.answered) from None
    if lacks := await _still_there(visit, last_words(once.changes).keys() - last_words(again).keys()):
        raise Wrong(wants, f"the second time {lacks[0][0]} {plain(lacks[0][1])} does not come")
    return "a cursor can be used again"


@check("feed.made-up-cursor", "feed.first")
async def made_up(visit: Visit) -> str:
    for made in ("verify-made-up", *([str(int(visit.cursor) + 10**9)] if visit.cursor.isdecimal() else [])):
        answer = await visit.platform.get(visit.feed, {"since": made, "limit": str(LIMIT)})
        if answer.status != 410:
            wants = "410 for a cursor it does not know (after a restore, say): only then a gateway pulls all anew"
            raise Wrong(wants, str(answer))
    return "410 for a cursor it does not know"
