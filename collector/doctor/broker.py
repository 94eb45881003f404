"""The broker: reached, trusted, let in, and what it grants; by a client of its own.

It listens to the topics of the stations for as long as the answer takes, with no group of a shared
subscription, whose messages it would take from the others, and owes the broker nothing afterwards.
"""

import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from collector.config import Mqtt
from collector.config.fields import is_loopback
from collector.doctor import network
from collector.doctor.facts import Facts
from collector.doctor.findings import Check, Finding, error, ok, skipped, warning
from collector.errors import CollectorError
from collector.plan import Plan
from collector.subscriber.connecting import make_tls
from collector.subscriber.probe import Probe, Protocol, Welcome

ECHO_S: Final = 3.0
SYS_S: Final = 3.0
_VERSION: Final = "$SYS/broker/version"
_DROPPED: Final = "$SYS/broker/publish/messages/dropped"
_REFUSED: Final = 0x80
_PROTOCOLS: Final[Mapping[str, tuple[Protocol, ...]]] = {
    "auto": ("5", "3.1.1"),
    "5": ("5",),
    "3.1.1": ("3.1.1",),
}
_UNKNOWN_PROTOCOL: Final = (0x84, 1)
_LOGIN: Final = "Check mqtt.username and mqtt.password_file"
_FIXES: Final = {
    0x85: "Give it another mqtt.client_id: the broker does not take every name.",
    0x86: f"{_LOGIN}: the broker does not know this pair.",
    0x88: "The broker is not ready: look into its log.",
    0x89: "The broker is busy: try again later.",
    0x8A: "The broker has banned this client: have its administrator lift that.",
    0x8C: "The broker wants another way to log in than a password: see its listener.",
    0x97: "The broker's quota is used up: see its limit of connections.",
    0x9F: "The broker limits how often one may connect: try again later.",
}
_QUEUES: Final = (
    "; what it keeps for a client that is away (persistence, max_queued_messages) can't be seen"
    " from here: docs/mosquitto.md says how to set it"
)


@dataclass(slots=True)
class _Seen:
    """What the checks before found out about the broker."""

    protocol: Protocol = "5"
    limits: Mapping[str, int] = field(default_factory=dict)


def checks(facts: Facts) -> Iterator[Check]:
    """The checks of the broker; each needs the one before it. Without one there is none."""
    if facts.known is not None and not facts.known.mqtt.url:
        yield Check("broker", lambda: [ok("none: records come over HTTP only")])
        return
    seen = _Seen()
    yield Check("broker address", lambda: _address(facts.config.mqtt), ("configuration",))
    yield Check("broker connection", lambda: _connection(facts.config.mqtt), ("broker address",))
    yield Check("broker TLS", lambda: _tls(facts.config.mqtt), ("broker connection",))
    yield Check("broker login", lambda: _login(facts, seen), ("broker TLS",))
    yield Check("broker session", lambda: _session(facts.config.mqtt, seen), ("broker login",))
    both = ("broker login", "tables and stations")
    yield Check("broker filters", lambda: _filters(facts, seen), both)
    yield Check("broker queue", lambda: _queue(facts, seen), ("broker login",))
    yield Check("broker echo", lambda: _echo(facts, seen), both)


def _address(options: Mqtt) -> Iterator[Finding]:
    try:
        yield ok(network.resolve(options.host, "mqtt.url"))
    except network.UnreachableError as why:
        yield why.finding


def _connection(options: Mqtt) -> Iterator[Finding]:
    try:
        network.connect(options.host, options.port, "mqtt.url").close()
    except network.UnreachableError as why:
        yield why.finding
    else:
        yield ok(f"{options.host}:{options.port} is open")


def _tls(options: Mqtt) -> Iterator[Finding]:
    if not options.encrypted:
        yield _plain(options)
        return
    try:
        context = make_tls(options)
    except (OSError, ssl.SSLError) as why:
        yield error(
            f"the files of this box's certificate can't be used: {why.strerror or why}",
            "See to mqtt.ca_file, mqtt.cert_file and mqtt.key_file: PEM, readable, of one pair.",
        )
        return
    try:
        sock = network.connect(options.host, options.port, "mqtt.url")
        with sock:
            encrypted, trusted = network.encrypt(sock, context, options.host, "mqtt.ca_file")
            encrypted.close()
        yield trusted
    except network.UnreachableError as why:
        yield why.finding


def _plain(options: Mqtt) -> Finding:
    if is_loopback(options.host):
        return ok("not used, and not needed: nothing leaves this box")
    return warning(
        f"not used: whoever is on the network reads, and alters, what goes to {options.host}",
        "Write mqtts:// (port 8883) in mqtt.url; docs/mosquitto.md says how to set up a listener.",
    )


def _login(facts: Facts, seen: _Seen) -> Iterator[Finding]:
    options = facts.config.mqtt
    # Asks for the session that the daemon will ask for, subscribes to nothing, and ends it.
    expiry = min(int(options.session_expiry), 0xFFFFFFFF)
    try:
        for protocol in _PROTOCOLS[options.protocol]:
            with Probe(options, protocol, facts.answer_s, expiry) as probe:
                welcome = probe.connect()
            if welcome.code not in _UNKNOWN_PROTOCOL:
                break
    except CollectorError as why:
        yield error(str(why.args[0]), _no_answer_fix(options))
        return
    seen.protocol, seen.limits = protocol, welcome.limits
    yield _judge_login(options, protocol, welcome)


def _no_answer_fix(options: Mqtt) -> str:
    fix = "Is it an MQTT broker, and the address that of its listener? Look into its log."
    if options.protocol != "3.1.1":
        fix += " Where it knows only MQTT 3.1.1, set mqtt.protocol to 3.1.1."
    if options.encrypted and options.cert_file is None:
        fix += " Where it wants a certificate of this box, set mqtt.cert_file and mqtt.key_file."
    return fix


def _judge_login(options: Mqtt, protocol: str, welcome: Welcome) -> Finding:
    who = f"as {options.username}" if options.username else "without a login"
    if welcome.code in _UNKNOWN_PROTOCOL:
        return error("the broker does not know MQTT 5", "Set mqtt.protocol to auto, or to 3.1.1.")
    if welcome.code:
        return error(f"refused {who}: {welcome.reason}", _login_fix(options, welcome.code))
    if protocol == "5":
        return ok(f"MQTT 5, {who}")
    if options.protocol == "3.1.1":
        return ok(f"MQTT 3.1.1, {who}, as mqtt.protocol wants it")
    return warning(
        f"MQTT 3.1.1, {who}: the broker does not know 5, so that its window is guessed and"
        " overlapping filters may bring a message twice",
        "Update the broker; or set mqtt.protocol to 3.1.1, if that is what you want.",
    )


def _login_fix(options: Mqtt, code: int) -> str:
    if code == 0x87 and options.username is None:
        return "The broker wants a login: set mqtt.username and mqtt.password_file."
    if code == 0x87:
        return f"{_LOGIN}; if they are right, have its access list let {options.username} in."
    return _FIXES.get(code, "Look into the log of the broker.")


def _session(options: Mqtt, seen: _Seen) -> Iterator[Finding]:
    limits = seen.limits
    lacking = list(_lacking(options, limits))
    yield from lacking
    if not lacking:
        given = {
            key: limits[key] for key in ("ReceiveMaximum", "MaximumPacketSize") if key in limits
        }
        said = ", ".join(f"{key} {value:,}" for key, value in given.items())
        kept = "" if seen.protocol == "3.1.1" else f", kept for {int(options.session_expiry):,} s"
        yield ok(f"as it is asked for{kept}" + (f"; the broker takes {said}" if said else ""))


def _lacking(options: Mqtt, limits: Mapping[str, int]) -> Iterator[Finding]:
    """What the broker's CONNACK takes away from what the collector asks for."""
    expiry = limits.get("SessionExpiryInterval")
    if expiry is not None and expiry < int(options.session_expiry):
        yield warning(
            f"the broker keeps it for {expiry:,} s only, mqtt.session_expiry asks for"
            f" {int(options.session_expiry):,} s: what comes later than that is lost",
            "Have the broker keep sessions longer (its maximum session expiry).",
        )
    if options.qos and limits.get("MaximumQoS", 2) < options.qos:
        yield error(
            "the broker gives QoS 0 at most: what is on the way when anything stops is lost",
            "Have the broker allow QoS 1 (max_qos of its listener).",
        )
    if not limits.get("WildcardSubscriptionAvailable", 1):
        yield warning(
            "the broker knows no filters with + and #", "Write whole topics, or change the broker."
        )
    if not limits.get("SharedSubscriptionAvailable", 1):
        yield warning(
            "the broker knows no shared subscriptions",
            "Write filters without $share/, or change the broker.",
        )
    if not limits.get("SubscriptionIdentifierAvailable", 1):
        yield warning(
            "the broker names no filter in what it sends: overlapping filters may bring it twice",
            "Keep the filters of stations apart, or change the broker.",
        )


def _filters(facts: Facts, seen: _Seen) -> Iterator[Finding]:
    plan, options = facts.plan, facts.config.mqtt
    wires = {one.wire: "/".join(one.levels) for one in plan.router.filters}
    try:
        with Probe(options, seen.protocol, facts.answer_s) as probe:
            probe.connect()
            codes = probe.subscribe(list(dict.fromkeys(wires.values())), options.qos)
    except CollectorError as why:
        yield error(str(why.args[0]), "Look into the log of the broker.")
        return
    short = [(wire, codes.get(bare, _REFUSED)) for wire, bare in wires.items()]
    short = [(wire, code) for wire, code in short if code < options.qos or code >= _REFUSED]
    yield from (_short(plan, wire, code) for wire, code in short)
    if not short:
        yield ok(f"all {len(wires)} granted with QoS {options.qos}")
    if seen.protocol == "3.1.1":
        for one, other in plan.router.overlapping():
            yield warning(
                f"{one} and {other} overlap: under MQTT 3.1.1 a message may come twice",
                "Keep the filters apart.",
            )


def _short(plan: Plan, wire: str, code: int) -> Finding:
    """A filter that was not granted as it was asked for, with the stations that want it."""
    filters = {one.text for one in plan.router.filters if one.wire == wire}
    names = [one.name for one in plan.config.stations if filters & set(one.topics)]
    who = f"{wire} of {', '.join(names)}"
    if code >= _REFUSED:
        return error(
            f"{who} is refused (code 0x{code:02X})",
            f"Have the broker's access list let this client read {wire}.",
        )
    return error(
        f"{who} is granted with QoS {code} only: what is on the way when anything stops is lost",
        "Have the broker allow QoS 1 (max_qos of its listener).",
    )


def _queue(facts: Facts, seen: _Seen) -> Iterator[Finding]:
    """What `$SYS` tells of the broker and its queues."""
    probe = Probe(facts.config.mqtt, seen.protocol, facts.answer_s)
    try:
        with probe:
            probe.connect()
            probe.subscribe([_VERSION, _DROPPED], 0, keep=True)
            probe.listen(SYS_S, lambda: {_VERSION, _DROPPED} <= set(probe.messages))
    except CollectorError:
        probe.messages.clear()
    version = probe.messages.get(_VERSION, b"").decode(errors="replace")
    dropped = probe.messages.get(_DROPPED, b"").decode(errors="replace")
    if dropped.isdigit() and int(dropped):
        yield warning(
            f"{version} has dropped {int(dropped):,} messages since its start, of any client",
            "Its queues may be too short: set max_queued_messages as docs/mosquitto.md says.",
        )
    elif version:
        yield ok(version + (_QUEUES if "mosquitto" in version else ""))
    else:
        yield ok("the broker tells nothing of itself in $SYS: how much it keeps can't be seen")


def _echo(facts: Facts, seen: _Seen) -> Iterator[Finding]:
    """Send a message to a topic of its own and wait for it; that it may not is no fault."""
    probe = Probe(facts.config.mqtt, seen.protocol, facts.answer_s)
    topic = f"collector/doctor/{probe.client_id}"
    if facts.plan.router.resolve(topic.encode(), ()).offers:
        yield skipped(f"a station would take {topic} for a measurement")
        return
    try:
        with probe:
            probe.connect()
            granted = probe.subscribe([topic], facts.config.mqtt.qos, keep=True)[topic]
            before = time.monotonic()
            code = probe.publish(topic, b"") if granted < _REFUSED else granted
            came = code < _REFUSED and probe.listen(ECHO_S, lambda: topic in probe.messages)
            took = time.monotonic() - before
    except CollectorError as why:
        yield ok(f"this client may not publish to collector/doctor/#: {why.args[0]}")
        return
    if came:
        yield ok(f"a message came back after {took * 1000:.0f} ms")
    else:
        yield ok("this client may not publish to, or not read, collector/doctor/#: no matter")
