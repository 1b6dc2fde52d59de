"""All tables. What is appended is never updated; what is derived is not stored, but for a parcel's counters.

Only retention and `forget` rewrite rows of message, submission and receipt (docs/decisions.md).
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from gateway.store.types import Instant, Personal

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)
# SQLite counts rowids only for INTEGER primary keys.
BigId = BigInteger().with_variant(Integer, "sqlite")

# -- the site's files and who works with them ------------------------------------------------------------------

site_file = Table(
    "site_file",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("loaded_at", Instant, nullable=False),
    UniqueConstraint("name", "sha256"),
)

official = Table(
    "official",
    metadata,
    Column("login", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("password", Text, nullable=False),
    Column("roles", JSON, nullable=False),
    Column("area", Text, nullable=False),
    Column("phone", Personal),
    Column("created_at", Instant, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("day", Date, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("who", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("what", JSON, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

audit_day = Table(
    "audit_day",
    metadata,
    Column("day", Date, primary_key=True),
    Column("rows", Integer, nullable=False),
    Column("head", Text, nullable=False),
)

# -- people ----------------------------------------------------------------------------------------------------

person = Table(
    "person",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("key", Personal, nullable=False, unique=True),
    Column("name", Personal, nullable=False),
    Column("phone", Personal),
    Column("taker_phone", Personal),
    Column("village", Text, nullable=False),
    Column("grp", Text, nullable=False),
    Column("area", Text, nullable=False),
    Column("sex", Text, nullable=False),
    Column("birth", Date),
    Column("tags", Text, nullable=False),
    Column("away_to", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("roster", Text, nullable=False),
    Column("seen_import", BigInteger, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
Index("ix_person_phone", person.c.phone)
Index("ix_person_area", person.c.area)

roster_import = Table(
    "roster_import",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("roster", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("counts", JSON, nullable=False),
)

consent = Table(
    "consent",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("phone", Personal, nullable=False),
    Column("category", Text),  # null: all categories
    Column("state", Text, nullable=False),  # in, out
    Column("source", Text, nullable=False),
    Column("wording", Personal, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
Index("ix_consent_phone", consent.c.phone)

number_sign = Table(
    "number_sign",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("phone", Personal, nullable=False),
    Column("day", Date, nullable=False),  # the site's
    Column("disputed", Boolean, nullable=False),
    Column("code", Text, nullable=False),
    Column("carrier", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("message_id", BigInteger, nullable=False),
    Column("void", Boolean, nullable=False),  # it came in a cluster: the operator screens
    Column("at", Instant, nullable=False),
    UniqueConstraint("phone", "day", "disputed"),
)
Index("ix_number_sign_at", number_sign.c.at)

number_confirmed = Table(
    "number_confirmed",
    metadata,
    Column("phone", Personal, primary_key=True),
    Column("by", Text, nullable=False),
    Column("how", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

test_ride = Table(
    "test_ride",
    metadata,
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("broadcast_id", BigInteger, ForeignKey("broadcast.id"), nullable=False),
    Column("phone", Personal, nullable=False),
    Column("parts", Integer, nullable=False),  # as billed
    Column("cost", Numeric(14, 4), nullable=False),
    Column("at", Instant, nullable=False),
    Column("got", Boolean),  # as a person says
    Column("by", Text),
    Column("answered_at", Instant),
)
Index("ix_test_ride_broadcast_id", test_ride.c.broadcast_id)

forgotten = Table(
    "forgotten",
    metadata,
    Column("phone_hmac", Text, primary_key=True),
    Column("optouts", JSON, nullable=False),
    Column("at", Instant, nullable=False),
)

# -- broadcasts and the outbox ---------------------------------------------------------------------------------

broadcast = Table(
    "broadcast",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("template", Text, nullable=False),
    Column("site_file_id", BigInteger, ForeignKey("site_file.id")),
    Column("category", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("area", Text, nullable=False),
    Column("audience", JSON, nullable=False),
    Column("fields", JSON, nullable=False),
    Column("author", Text, nullable=False),
    Column("approver", Text),
    Column("approved_at", Instant),
    Column("not_before", Instant),
    Column("expires_at", Instant),
    Column("hours", Text),
    Column("on_uncertain", Text, nullable=False),
    Column("digest", Text),
    Column("idempotency_key", Text, unique=True),
    Column("schedule", Text),
    Column("test", Boolean, nullable=False),
    Column("people", Integer, nullable=False),
    Column("texts", Integer, nullable=False),
    Column("parts", Integer, nullable=False),
    Column("cost", Numeric(14, 4), nullable=False),
    Column("note", Text, nullable=False),
    Column("composing_node", Text),
    Column("left_behind_at", Instant),
    Column("created_at", Instant, nullable=False),
)

left_out = Table(
    "left_out",
    metadata,
    Column("broadcast_id", BigInteger, ForeignKey("broadcast.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("person_id", BigInteger),
    Column("reason", Text, nullable=False),
    Column("name", Personal, nullable=False),
    Column("phone", Personal),
    Column("village", Text, nullable=False),
    Column("grp", Text, nullable=False),
    Column("detail", Text, nullable=False),
)

standing_approval = Table(
    "standing_approval",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("schedule", Text, nullable=False),
    Column("template_sha256", Text, nullable=False),
    Column("rule_sha256", Text, nullable=False),
    Column("max_people", Integer, nullable=False),
    Column("max_cost", Numeric(14, 4), nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

account = Table(
    "account",
    metadata,
    Column("name", Text, primary_key=True),
    Column("node", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("until", Instant, nullable=False),
    Column("live", JSON(none_as_null=True)),  # what its holder says of it with each renewal, for other processes
)

parcel = Table(
    "parcel",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("broadcast_id", BigInteger, nullable=False),  # 0: single texts
    Column("carrier", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("attempt", SmallInteger, nullable=False),
    Column("members", JSON(none_as_null=True)),  # ids of texts tried again; null: its own messages
    Column("body", Personal),  # shared by all messages that have none
    Column("category", Text),  # null: an answer, which no opt-out withholds
    Column("hours", Text),  # "08:00-21:00" on the site's clock; null: at any hour
    Column("on_uncertain", Text, nullable=False),  # leave, resend
    Column("consent_seen", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("holder_epoch", BigInteger),
    Column("n", SmallInteger, nullable=False),
    Column("watermark", SmallInteger, nullable=False),
    Column("not_before", Instant),
    Column("expires_at", Instant),
    Column("stale", Boolean, nullable=False),
    *(
        Column(name, SmallInteger, nullable=False, server_default=text("0"))
        for name in (
            "accepted",
            "delivered",
            "undelivered",
            "rejected",
            "uncertain",
            "withheld",
            "expired",
            "cancelled",
        )
    ),
    sqlite_autoincrement=True,
)
_ready = text("state = 'ready' AND holder_epoch IS NULL")
Index(
    "ix_parcel_ready",
    parcel.c.carrier,
    parcel.c.priority,
    parcel.c.broadcast_id,
    parcel.c.id,
    sqlite_where=_ready,
    postgresql_where=_ready,
)
_open = text("holder_epoch IS NOT NULL")
Index("ix_parcel_open", parcel.c.carrier, sqlite_where=_open, postgresql_where=_open)
_stale = text("stale")
Index("ix_parcel_stale", parcel.c.id, sqlite_where=_stale, postgresql_where=_stale)
Index("ix_parcel_broadcast", parcel.c.broadcast_id, parcel.c.id)

message = Table(
    "message",
    metadata,
    Column("id", BigId, primary_key=True, autoincrement=False),
    Column("phone", Personal, nullable=False),
    Column("person_id", BigInteger),
    Column("body", Personal),
    Column("parts", SmallInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
)
Index("ix_message_phone_created_at", message.c.phone, message.c.created_at)

submission = Table(
    "submission",
    metadata,
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", SmallInteger, primary_key=True, autoincrement=False),
    Column("part", SmallInteger, primary_key=True, autoincrement=False),
    Column("outcome", Text, primary_key=True),
    Column("carrier", Text, nullable=False),
    Column("carrier_ref", Text),
    Column("error", Text),
    Column("at", Instant, nullable=False),
    sqlite_with_rowid=False,
)
_referred = text("carrier_ref IS NOT NULL")
Index(
    "ix_submission_carrier_ref",
    submission.c.carrier,
    submission.c.carrier_ref,
    sqlite_where=_referred,
    postgresql_where=_referred,
)
Index("ix_submission_at", submission.c.carrier, submission.c.at)
_refused = text("outcome <> 'accepted'")
Index(
    "ix_submission_not_accepted",
    submission.c.message_id,
    sqlite_where=_refused,
    postgresql_where=_refused,
)

receipt = Table(
    "receipt",
    metadata,
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", SmallInteger, primary_key=True, autoincrement=False),
    Column("part", SmallInteger, primary_key=True, autoincrement=False),
    Column("state", Text, primary_key=True),
    Column("error", Text),
    Column("matched", Text, nullable=False),  # ref, number, whole (concluded from the one receipt of a long text)
    Column("at", Instant, nullable=False),
    sqlite_with_rowid=False,
)
_failed = text("state <> 'delivered'")
Index("ix_receipt_not_delivered", receipt.c.message_id, sqlite_where=_failed, postgresql_where=_failed)

receipt_unmatched = Table(
    "receipt_unmatched",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("carrier", Text, nullable=False),
    Column("carrier_ref", Text, nullable=False),
    Column("phone", Personal, nullable=False),
    Column("state", Text, nullable=False),
    Column("error", Text),
    Column("why", Text, nullable=False),  # unknown, number_differs, two_candidates
    Column("at", Instant, nullable=False),
    Column("parked_at", Instant, nullable=False),
    UniqueConstraint("carrier", "carrier_ref", "phone", "state"),
)
_unknown = text("why = 'unknown'")
Index("ix_receipt_unmatched_unknown", receipt_unmatched.c.id, sqlite_where=_unknown, postgresql_where=_unknown)
Index("ix_receipt_unmatched_phone", receipt_unmatched.c.carrier, receipt_unmatched.c.phone)

# -- schedules and feeds ---------------------------------------------------------------------------------------

schedule = Table(
    "schedule",
    metadata,
    Column("name", Text, primary_key=True),
    Column("paused", Boolean, nullable=False),
    Column("seen_until", Instant, nullable=False),
)

slot = Table(
    "slot",
    metadata,
    Column("schedule", Text, primary_key=True),
    Column("due_at", Instant, primary_key=True),
    Column("state", Text, nullable=False),  # due, run, late, skipped, asked, fault
    Column("broadcast_id", BigInteger),
    Column("note", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("until", Instant),  # so long the process that carries it on may need
)

feed_state = Table(
    "feed_state",
    metadata,
    Column("feed", Text, primary_key=True),
    Column("area", Text, primary_key=True),
    Column("issued_at", Instant, nullable=False),
    Column("content", JSON, nullable=False),
    Column("stored_at", Instant, nullable=False),
)

fault = Table(
    "fault",
    metadata,
    Column("key", Text, primary_key=True),
    Column("zh", Text, nullable=False),
    Column("en", Text, nullable=False),
    Column("since", Instant, nullable=False),
)

# -- texts that come in ----------------------------------------------------------------------------------------

inbound = Table(
    "inbound",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("source", Text, nullable=False),  # the account, "webhook" or "cli"
    Column("ref", Text, nullable=False),
    Column("phone", Personal, nullable=False),
    Column("to", Text, nullable=False),
    Column("body", Personal, nullable=False),
    Column("digest", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("handled_at", Instant),
    Column("intent", Text),
    Column("case_id", BigInteger),
    Column("message_id", BigInteger),  # the automatic answer to it
    UniqueConstraint("source", "ref"),
)
_unhandled = text("handled_at IS NULL")
Index("ix_inbound_unhandled", inbound.c.id, sqlite_where=_unhandled, postgresql_where=_unhandled)
_held = text("intent = 'held'")
Index("ix_inbound_held", inbound.c.phone, sqlite_where=_held, postgresql_where=_held)
Index("ix_inbound_phone", inbound.c.phone, inbound.c.received_at)
_answered = text("message_id IS NOT NULL")
Index(
    "ix_inbound_answered",
    inbound.c.phone,
    inbound.c.handled_at,
    sqlite_where=_answered,
    postgresql_where=_answered,
)

prompt = Table(
    "prompt",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("phone", Personal, nullable=False),
    Column("kind", Text, nullable=False),
    Column("data", JSON, nullable=False),  # choices by digit and what else the answer needs
    Column("case_id", BigInteger),
    Column("inbound_id", BigInteger),  # the newest text that is held until the answer
    Column("message_id", BigInteger),  # the question as it was sent
    Column("asked_at", Instant, nullable=False),
    Column("until", Instant, nullable=False),
    Column("reminded_at", Instant),
    Column("ended_at", Instant),
    Column("end", Text),  # answered, expired, replaced, withdrawn
)
_asking = text("ended_at IS NULL")
Index("ix_prompt_open", prompt.c.phone, sqlite_where=_asking, postgresql_where=_asking)
Index("ix_prompt_until", prompt.c.until, sqlite_where=_asking, postgresql_where=_asking)

case = Table(
    "case",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("number", Text, nullable=False, unique=True),
    Column("phone", Personal, nullable=False),
    Column("person_id", BigInteger),
    Column("window", Text, nullable=False),
    Column("kind", Text, nullable=False),  # consult, feedback, agency, complaint, petition, unclear
    Column("item", Text),
    Column("state", Text, nullable=False),
    Column("area", Text, nullable=False),
    Column("title", Personal, nullable=False),
    Column("name", Personal),  # who asks, where they said so
    Column("behalf", Personal),  # for whom
    Column("broadcast_id", BigInteger),
    Column("source", Text, nullable=False, server_default=""),  # where its first text came in
    Column("urgent", Boolean, nullable=False, server_default=text("FALSE")),
    Column("restricted", Boolean, nullable=False, server_default=text("FALSE")),
    Column("about", Text),  # the window or body that is complained about
    Column("parent_id", BigInteger),
    Column("merged_into", BigInteger),
    Column("external", Text),  # its number in another system
    Column("officer", Text),  # the login of who signed for it
    Column("opened_at", Instant, nullable=False),
    Column("signed_due_at", Instant),
    Column("first_due_at", Instant),
    Column("due_at", Instant),  # to be finished; moved by pauses and extensions
    Column("signed_at", Instant),
    Column("first_answer_at", Instant),
    Column("waiting_since", Instant),
    Column("closed_at", Instant),
    Column("closed_how", Text),  # text, phone, counter, spot, merged, withdrawn
    Column("rounds", Integer, nullable=False, server_default="1"),
    Column("solved", Boolean),
    Column("rating", Integer),
    Column("rated_at", Instant),
    Column("publish", Boolean, nullable=False, server_default=text("FALSE")),
)
Index("ix_case_phone", case.c.phone)
_live = text("state <> 'closed'")
Index("ix_case_open", case.c.window, case.c.due_at, sqlite_where=_live, postgresql_where=_live)
Index("ix_case_opened_at", case.c.opened_at)
Index("ix_case_closed_at", case.c.closed_at)
Index("ix_case_parent", case.c.parent_id)
Index("ix_case_external", case.c.external)

case_event = Table(
    "case_event",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("case_id", BigInteger, ForeignKey("case.id"), nullable=False),
    Column("kind", Text, nullable=False),  # model.Happened
    Column("who", Text, nullable=False),
    Column("body", Personal, nullable=False),
    Column("data", JSON, nullable=False),
    Column("message_id", BigInteger),
    Column("inbound_id", BigInteger),
    Column("at", Instant, nullable=False),
)
Index("ix_case_event_case_id", case_event.c.case_id)

case_alarm = Table(
    "case_alarm",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("case_id", BigInteger, ForeignKey("case.id"), nullable=False),
    Column("clock", Text, nullable=False),  # signed, first, finish
    Column("level", Text, nullable=False),  # digest, single, overdue, and a step of the ladder
    Column("due_at", Instant, nullable=False),
    Column("told", Text, nullable=False),  # logins
    Column("message_id", BigInteger),
    Column("at", Instant, nullable=False),
)
Index("ix_case_alarm_once", *(case_alarm.c[name] for name in ("case_id", "clock", "level", "due_at")), unique=True)

alarm_round = Table(
    "alarm_round",
    metadata,
    Column("window", Text, primary_key=True),
    Column("half_day", Instant, primary_key=True),  # when it began
    Column("at", Instant, nullable=False),
)

inbound_part = Table(
    "inbound_part",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("source", Text, nullable=False),
    Column("phone", Personal, nullable=False),
    Column("to", Text, nullable=False),
    Column("ref", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("body", Personal, nullable=False),
    Column("own_ref", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("stored_at", Instant, nullable=False),
    Column("used", Boolean, nullable=False, server_default=text("FALSE")),  # put together; kept to know repeats by
)
Index("ix_inbound_part_of", inbound_part.c.phone, inbound_part.c.source, inbound_part.c.ref)
Index("ix_inbound_part_stored_at", inbound_part.c.stored_at)

payment = Table(
    "payment",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("broadcast_id", BigInteger, ForeignKey("broadcast.id"), nullable=False),
    Column("phone", Personal, nullable=False),
    Column("name", Personal, nullable=False),
    Column("item", Text, nullable=False),  # what was paid
    Column("amount", Numeric(12, 2), nullable=False),
)
Index("ix_payment_phone", payment.c.phone)
Index("ix_payment_broadcast_id", payment.c.broadcast_id)

signup = Table(
    "signup",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("course", Text, nullable=False),
    Column("phone", Personal, nullable=False),
    Column("name", Personal, nullable=False),
    Column("person_id", BigInteger),
    Column("state", Text, nullable=False),  # in, waiting, out
    Column("inbound_id", BigInteger),
    Column("at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    UniqueConstraint("course", "phone", "name"),
)

point = Table(
    "point",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("month", Text, nullable=False),  # 2026-07
    Column("subject", Text, nullable=False),  # window:minzheng or officer:zhao
    Column("rule", Text, nullable=False),
    Column("site_file_id", BigInteger, ForeignKey("site_file.id")),
    Column("case_id", BigInteger),
    Column("fact", Text, nullable=False),  # what of the case: once each
    Column("points", Numeric(8, 2), nullable=False),
    Column("why", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
Index("ix_point_once", point.c.rule, point.c.subject, point.c.fact, unique=True)
Index("ix_point_month", point.c.month, point.c.subject)
Index("ix_point_case_id", point.c.case_id)

appeal = Table(
    "appeal",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("point_id", BigInteger, ForeignKey("point.id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("decision", Text),  # upheld: the point stands; reversed: it counts no more
    Column("decided_by", Text),
    Column("decided_why", Text),
    Column("decided_at", Instant),
)
Index("ix_appeal_point_id", appeal.c.point_id)

case_count = Table(
    "case_count",
    metadata,
    Column("day", Date, primary_key=True),
    Column("last", Integer, nullable=False),
)
