"""What was noticed over all answers; made last."""

from __future__ import annotations

from edge.verify.check import Checks
from edge.verify.platform import plain
from edge.verify.verdict import Wrong
from edge.verify.visit import Visit

check = Checks()


@check("json.content-type", "reachable")
async def labelled(visit: Visit) -> str:
    for asked, type in visit.platform.mislabelled.items():
        more = len(visit.platform.mislabelled) - 1
        others = f", and {more} other calls likewise" if more else ""
        raise Wrong("Content-Type: application/json for JSON", f"{asked} has {plain(type)}{others}")
    return "all JSON is called application/json"
