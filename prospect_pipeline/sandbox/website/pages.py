"""The website's pages: where each is, what it is called, and where it stands in the navigation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """One page; ``nav`` is its name in the navigation, where it stands there."""

    path: str
    template: str
    title: str
    description: str
    nav: str = ""


@dataclass(frozen=True)
class Post(Page):
    """An article of the blog."""

    date: str = ""
    minutes: int = 0


HOME = Page(
    "/",
    "home.html",
    "Berthline: dock scheduling for busy warehouses",
    "Carriers book their own slots, the yard sees who is next, and nobody waits at the gate.",
)
POSTS = (
    Post(
        "/blog/the-forty-minute-gate",
        "blog/the-forty-minute-gate.html",
        "The forty-minute gate",
        "Where the time goes between a lorry's arrival and its dock, measured at eleven sites.",
        date="2026-09-14",
        minutes=3,
    ),
    Post(
        "/blog/slots-not-queues",
        "blog/slots-not-queues.html",
        "Slots, not queues",
        "Why first come, first served is the most expensive timetable that a yard can run.",
        date="2026-07-02",
        minutes=2,
    ),
)
PAGES = (
    HOME,
    Page(
        "/product",
        "product.html",
        "Product",
        "Booking, yard and gate on one board: what Berthline does, hour by hour.",
        nav="Product",
    ),
    Page(
        "/tour",
        "tour.html",
        "Tour",
        "A morning at a twelve-door warehouse, in twelve seconds.",
        nav="Tour",
    ),
    Page(
        "/pricing",
        "pricing.html",
        "Pricing",
        "One price per door and month. Carriers and drivers never pay.",
        nav="Pricing",
    ),
    Page(
        "/customers",
        "customers.html",
        "Customers",
        "How three warehouses gave their mornings back.",
        nav="Customers",
    ),
    Page(
        "/blog", "blog/index.html", "Blog", "Notes from the yard, short and measured.", nav="Blog"
    ),
    Page(
        "/demo",
        "demo.html",
        "Book a demo",
        "Twenty minutes with somebody who has run a yard.",
    ),
    *POSTS,
)
