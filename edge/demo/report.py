"""What a phone tells the counter: the additions that it has put into its cart, as the contract has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from edge.demo.judge import ADDED

_Text = Annotated[str, Meta(min_length=1, max_length=200)]


class _Price(Struct):
    amount: Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?\Z")]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]


class _Product(Struct):
    name: str
    price: _Price | None = None


class _Data(Struct, omit_defaults=True):
    customer: _Text
    cart: _Text
    read_point: _Text
    gtin: Annotated[str, Meta(pattern=r"^[0-9]{14}\Z")]
    product: _Product | None
    staff: str | None = None


class _Added(Struct, tag=ADDED):
    id: _Text
    time: Annotated[datetime, Meta(tz=True)]
    data: _Data


class Report(Struct, rename={"first": "from"}):
    """`phone`: one window of it; `first`: how many additions it has told before, of which each has its place."""

    phone: _Text
    first: Annotated[int, Meta(ge=0)]
    took: list[_Added]

    def events(self) -> list[Mapping[str, Any]]:
        """The additions as JSON has them."""
        return [msgspec.to_builtins(added) for added in self.took]
