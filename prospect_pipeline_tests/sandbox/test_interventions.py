"""Interventions, with the official SDK on both ends."""

import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from snowplow_signals import (
    Attribute,
    AttributeGroup,
    AttributeKeyIdentifiers,
    Event,
    InterventionCriteriaAll,
    InterventionCriteriaAny,
    InterventionCriteriaNone,
    InterventionCriterion,
    InterventionInstance,
    LinkAttributeKey,
    RuleIntervention,
    SignalsAPIError,
    SignalsSandbox,
    domain_userid,
)

from prospect_pipeline.attributes import prospect
from prospect_pipeline.errors import DefinitionError
from prospect_pipeline.sandbox import criteria
from prospect_pipeline.settings import DataSettings, DefinitionSettings
from prospect_pipeline_tests.sandbox.conftest import signals_over
from prospect_pipeline_tests.sandbox.test_payloads import body

GROUP = prospect.attribute_group(DefinitionSettings.load())
TP2 = "/com.snowplowanalytics.snowplow/tp2"
WAIT = 10


@pytest.fixture
def live(data: DataSettings) -> Iterator[SignalsSandbox]:
    with signals_over(data, "wall") as signals:
        signals.publish([GROUP])
        yield signals


def on(attribute: str, operator: Any, value: Any = None) -> InterventionCriterion:
    return InterventionCriterion(
        attribute=f"{GROUP.name}:{attribute}", operator=operator, value=value
    )


def rule(name: str, tree: Any, **more: Any) -> RuleIntervention:
    return RuleIntervention(name=name, owner="a@example.com", criteria=tree, **more)


def views(name: str, days: int) -> Attribute:
    return Attribute(
        name=name, type="int32", events=[Event(name="page_view")], aggregation="counter",
        period=timedelta(days=days),
    )  # fmt: skip


def view(live: SignalsSandbox, user: str, **more: str) -> None:
    event = {"e": "pv", "duid": user, "eid": str(uuid.uuid4()), "aid": "website", **more}
    answer = requests.post(f"{live.api_client.api_url}{TP2}", body(event), timeout=5)
    assert answer.text == "ok"


def hang_up(live: SignalsSandbox, subscription: Any, targets: AttributeKeyIdentifiers) -> None:
    """End a subscription, which the SDK does once it is told one more thing."""
    subscription.stop()
    live.push_intervention(targets, InterventionInstance(name="end", version=1))


class Line:
    """A subscription that tells when it stands: interventions are then told to it."""

    def __init__(self, live: SignalsSandbox, **targets: str) -> None:
        self.live = live
        given = AttributeKeyIdentifiers({name: [value] for name, value in targets.items()})
        self.subscription = live.pull_interventions(given)
        self.targets = given

    def __enter__(self) -> "Line":
        self.subscription.start()
        hello = InterventionInstance(name="hello", version=1)
        end = time.monotonic() + WAIT
        while self.live.push_intervention(self.targets, hello) != "success":
            assert time.monotonic() < end, "the subscription never stood"
        assert self.next().name == "hello"
        return self

    def __exit__(self, *_: object) -> None:
        hang_up(self.live, self.subscription, self.targets)

    def next(self) -> InterventionInstance:
        queue = self.subscription._queue
        assert queue is not None
        return queue.get(timeout=WAIT)

    def silent(self) -> bool:
        """Whether nothing was told before what is pushed now."""
        mark = InterventionInstance(name="mark", version=1)
        assert self.live.push_intervention(self.targets, mark) == "success"
        return self.next().name == "mark"


def test_a_rule_that_comes_true_is_told_once_with_its_attributes(live: SignalsSandbox) -> None:
    live.publish([rule("keen", on("num_page_views_l7d", ">=", 2))])
    with Line(live, domain_userid="ann") as ann, Line(live, domain_userid="bob") as bob:
        view(live, "ann")
        assert ann.silent()
        view(live, "ann")
        told = ann.next()
        assert (told.name, told.version) == ("keen", 1)
        assert told.attributes == {"num_page_views_l7d": "2"}
        assert told.target_attribute_key is not None
        assert vars(told.target_attribute_key) == {"name": "domain_userid", "id": "ann"}
        view(live, "ann")
        assert ann.silent()
        assert bob.silent()


def test_once_holds_after_a_restart(data: DataSettings) -> None:
    with signals_over(data, "wall") as live:
        live.publish([GROUP, rule("seen", on("num_page_views_l7d", "is not null"))])
        with Line(live, domain_userid="ann") as line:
            view(live, "ann")
            assert line.next().name == "seen"
    with signals_over(data, "wall") as live, Line(live, domain_userid="ann") as line:
        view(live, "ann")
        assert line.silent()


def test_changed_is_told_each_time(live: SignalsSandbox) -> None:
    live.publish([rule("moved", on("latest_app_id", "changed"))])
    with Line(live, domain_userid="ann") as line:
        for app in ("a", "a", "b", "a"):
            view(live, "ann", aid=app)
        told = [line.next().attributes for _ in range(3)]
        assert told == [{"latest_app_id": app} for app in ("a", "b", "a")]
        assert line.silent()


def test_a_rule_may_be_told_to_another_key_with_a_whole_group(live: SignalsSandbox) -> None:
    session = str(uuid.uuid4())
    live.publish([
        rule("offer", on("num_page_views_l7d", "=", 1),
             target_attribute_keys=[LinkAttributeKey(name="domain_sessionid")],
             payload_attribute_groups=[{"name": GROUP.name, "version": 1}])
    ])  # fmt: skip
    with Line(live, domain_sessionid=session) as line, Line(live, domain_userid="ann") as ann:
        view(live, "ann", sid=session)
        told = line.next()
        assert told.attributes is not None
        assert told.attributes["num_apps_l7d"] == '["website"]'
        assert told.attributes["latest_app_id"] == "website"
        assert ann.silent()


def test_a_page_that_subscribes_just_after_its_event_is_told(live: SignalsSandbox) -> None:
    live.publish([rule("first", on("num_page_views_l7d", "=", 1))])
    view(live, "ann")

    ann = AttributeKeyIdentifiers({"domain_userid": ["ann"]})
    subscription = live.pull_interventions(ann)
    subscription.start()
    queue = subscription._queue
    assert queue is not None
    assert queue.get(timeout=WAIT).name == "first"
    hang_up(live, subscription, ann)


def test_rules_over_two_versions_of_a_group_keep_apart(live: SignalsSandbox) -> None:
    first, second = (
        AttributeGroup(
            name="g", version=version, attribute_key=domain_userid, owner="a@example.com",
            attributes=[views(f"views_{version}", version)],
        )
        for version in (1, 2)
    )  # fmt: skip
    both = InterventionCriteriaAll(all=[
        InterventionCriterion(attribute="g:views_1", operator=">=", value=2),
        InterventionCriterion(attribute="g:views_2", operator=">=", value=2),
    ])  # fmt: skip
    live.publish([first, second, rule("both", both)])
    with Line(live, domain_userid="ann") as line:
        view(live, "ann")
        assert line.silent()
        view(live, "ann")
        assert line.next().attributes == {"views_1": "2", "views_2": "2"}


def test_what_is_not_published_is_not_told(live: SignalsSandbox) -> None:
    seen = rule("seen", on("num_page_views_l7d", "is not null"))
    live.publish([seen])
    live.unpublish([seen])
    with Line(live, domain_userid="ann") as line:
        view(live, "ann")
        assert line.silent()
    live.delete([seen])
    with pytest.raises(SignalsAPIError, match="404"):
        live.interventions.get("seen")


def test_a_push_without_a_subscriber_is_undelivered(live: SignalsSandbox) -> None:
    nobody = AttributeKeyIdentifiers({"domain_userid": ["nobody"]})

    pushed = live.push_intervention(nobody, InterventionInstance(name="hi", version=1))

    assert pushed == "undelivered"


def test_one_line_gets_an_intervention_once_for_all_its_targets(live: SignalsSandbox) -> None:
    session = str(uuid.uuid4())
    keys = [LinkAttributeKey(name=name) for name in ("domain_userid", "domain_sessionid")]
    live.publish([rule("both", on("num_page_views_l7d", "=", 1), target_attribute_keys=keys)])
    with Line(live, domain_userid="ann", domain_sessionid=session) as line:
        view(live, "ann", sid=session)
        assert line.next().name == "both"
        assert line.silent()


def test_the_stream_needs_no_token_but_known_keys(live: SignalsSandbox) -> None:
    url = f"{live.api_client.api_url}/api/v1/interventions"

    assert requests.get(url, timeout=5).status_code == 400
    assert requests.get(url, params={"no_such_key": "x"}, timeout=5).status_code == 404
    push = requests.post(
        url, params={"domain_userid": "a"}, json={"name": "x", "version": 1}, timeout=5
    )
    assert push.status_code == 401
    with requests.get(url, params={"domain_userid": "a"}, stream=True, timeout=5) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert next(answer.iter_lines()) == b": here"


BEFORE = {"g:n": 1, "g:s": "abc", "g:l": ["x", "y"], "g:none": None}


@pytest.mark.parametrize(
    ("attribute", "operator", "value", "expected"),
    [
        ("n", "=", 2, True), ("n", "=", 3, False), ("n", "!=", 3, True), ("n", "<", 3, True),
        ("n", ">", 2, False), ("n", "<=", 2, True), ("n", ">=", 3, False), ("n", ">", "a", False),
        ("s", "like", "a%", True), ("s", "like", "b%", False), ("s", "not like", "b%", True),
        ("s", "rlike", "b.$", True), ("s", "not rlike", "^b", True), ("s", "in", ["abc"], True),
        ("s", "not in", ["abc"], False), ("l", "=", "x", True), ("l", "!=", "x", False),
        ("l", "in", ["z", "y"], True), ("none", "is null", None, True),
        ("none", "is not null", None, False), ("none", "!=", 1, False), ("none", "=", 1, False),
        ("n", "is not null", None, True), ("n", "changed", None, True),
        ("s", "changed", None, False),
    ],
)  # fmt: skip
def test_every_operator_compares(attribute: str, operator: str, value: Any, expected: bool) -> None:
    one = {"attribute": f"g:{attribute}", "operator": operator, "value": value}

    assert criteria.met(one, BEFORE | {"g:n": 2}, BEFORE) is expected


def test_criteria_nest() -> None:
    def tree(n: int, s: str) -> bool:
        nested = rule("r", InterventionCriteriaAll(all=[
            on("n", ">", 1),
            InterventionCriteriaAny(any=[on("s", "=", "a"), on("s", "=", "b")]),
            InterventionCriteriaNone(none=[on("n", "=", 5)]),
        ]))  # fmt: skip
        values = {f"{GROUP.name}:n": n, f"{GROUP.name}:s": s}
        return criteria.met(nested.model_dump(exclude_none=True)["criteria"], values, {})

    assert tree(2, "a")
    assert tree(2, "b")
    assert not tree(1, "a")
    assert not tree(2, "c")
    assert not tree(5, "a")


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"attribute": "g:a", "operator": "="}, "'=' needs a value"),
        ({"attribute": "g:a", "operator": "is null", "value": 1}, "'is null' takes no value"),
        ({"attribute": "g:a", "operator": "in", "value": 1}, "only 'in' and 'not in' take a list"),
        ({"attribute": "g:a", "operator": "rlike", "value": "("}, "is no regular expression"),
        ({"all": []}, "has no criterion"),
        ({"any": [{"attribute": "g:a", "operator": "changed"}]}, "not within 'any'"),
        ({"all": [{"none": [{"attribute": "g:a", "operator": "changed"}]}]}, "not within 'any'"),
    ],
)
def test_nonsense_is_refused(tree: dict[str, Any], words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        criteria.check(tree, "r")
