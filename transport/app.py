"""The Falcon application: middleware, error handlers and the table of routes."""

from __future__ import annotations

from typing import Any

import falcon.asgi
from falcon.constants import WebSocketPayloadType

from queues.config import Settings
from queues.operations import Operations
from transport import bodies, errors
from transport.audience import check_rules
from transport.cursor_requests import CursorRequestReader
from transport.cursor_responses import CursorResponseWriter
from transport.event_streams import EventStreams
from transport.grant_requests import GrantRequestReader
from transport.grant_responses import GrantResponseWriter
from transport.headers import HeaderReader
from transport.identity.application_tokens import ApplicationTokens
from transport.identity.door import Door
from transport.items import OLD_PREFIX, PREFIX
from transport.letter_requests import LetterRequestReader
from transport.letter_responses import LetterResponseWriter
from transport.middleware import Lifespan, RequestContext
from transport.requests import RequestReader
from transport.resources.claims import ClaimCollection, ClaimItem
from transport.resources.cursors import (
    CursorAcknowledgement,
    CursorCollection,
    CursorItem,
    CursorMessages,
)
from transport.resources.dead_letters import DeadLetterCollection, QueueRedrive
from transport.resources.deliveries import DeliveryCollection, DeliveryReplay
from transport.resources.health import HealthReport, Ping
from transport.resources.messages import MessageCollection, MessageItem, OldMessageCollection
from transport.resources.queues import (
    QueueCollection,
    QueueItem,
    QueuePurge,
    QueueStatistics,
)
from transport.resources.quotas import OwnQuota, QuotaCollection
from transport.resources.root import Description, Home, Versions
from transport.resources.shares import QueueShare, ShareCollection, ShareItem
from transport.resources.signals import SignalCollection, SignalDoor, SignalItem
from transport.resources.subscriptions import (
    SubscriptionCollection,
    SubscriptionConfirmation,
    SubscriptionItem,
)
from transport.resources.tokens import TokenCollection, TokenItem
from transport.resources.websocket import Frames, WebSocket
from transport.responses import ResponseWriter
from transport.signal_requests import SignalRequestReader
from transport.signal_responses import SignalResponseWriter
from transport.subscription_requests import SubscriptionRequestReader
from transport.subscription_responses import SubscriptionResponseWriter


class PromptApp(falcon.asgi.App[Any, Any]):
    """A Falcon application that looks at a request as soon as its head is there."""

    async def __call__(  # type: ignore[override] # as in the base class
        self, scope: Any, receive: Any, send: Any
    ) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "http":
            receive = bodies.hold_back(scope, receive)
        await super().__call__(scope, receive, send)


def create_app(
    operations: Operations,
    settings: Settings,
    lifespan: Lifespan,
    door: Door,
) -> falcon.asgi.App[Any, Any]:
    """Return the application that serves `operations` over HTTP."""
    requests = RequestReader(settings)
    responses = ResponseWriter(
        checksums=settings.enable_checksum, ids_per_address=settings.max_messages_per_page
    )
    middleware: list[Any] = [RequestContext(HeaderReader(settings), door, operations), lifespan]
    app = PromptApp(middleware=middleware)
    # As in Zaqar, a parameter without a value counts as absent.
    app.req_options.keep_blank_qs_values = False
    handlers = app.ws_options.media_handlers
    for kind in WebSocketPayloadType:
        handlers[kind] = Frames()  # type: ignore[assignment] # as it takes both kinds
    # The server reads no further than the application has come; nothing needs to be kept.
    app.ws_options.max_receive_queue = 0
    errors.install(app)
    grants = GrantRequestReader(settings), GrantResponseWriter(responses)
    subscribing = SubscriptionRequestReader(settings), SubscriptionResponseWriter(responses)
    streams = EventStreams(operations.waiting)
    routes = {
        **_service_routes(operations, responses),
        **_queue_routes(operations, requests, responses, streams),
        **_grant_routes(operations, door.tokens, *grants),
        **_letter_routes(
            operations, LetterRequestReader(settings), LetterResponseWriter(responses)
        ),
        **_signal_routes(
            operations,
            SignalRequestReader(settings, requests),
            SignalResponseWriter(responses, public_url=settings.public_url),
        ),
        **_subscription_routes(operations, *subscribing),
        **_cursor_routes(
            operations, CursorRequestReader(settings), CursorResponseWriter(responses), streams
        ),
        f"{PREFIX}/websocket": WebSocket(operations, settings, door),
    }
    for path, resource in routes.items():
        check_rules(resource)
        app.add_route(path, resource)
    return app


def _service_routes(operations: Operations, responses: ResponseWriter) -> dict[str, object]:
    return {
        "/": Versions(),
        PREFIX: Home(),
        f"{PREFIX}/": Home(),
        f"{PREFIX}/openapi.json": Description(),
        f"{PREFIX}/ping": Ping(operations),
        f"{PREFIX}/health": HealthReport(operations, responses),
    }


def _queue_routes(
    operations: Operations,
    requests: RequestReader,
    responses: ResponseWriter,
    streams: EventStreams,
) -> dict[str, object]:
    queue = f"{PREFIX}/queues/{{queue}}"
    queues = (operations.queues, requests, responses)
    messages, claims, polls = operations.messages, operations.claims, operations.polls
    shown = (requests, responses)
    return {
        f"{PREFIX}/queues": QueueCollection(*queues),
        queue: QueueItem(*queues),
        f"{queue}/stats": QueueStatistics(*queues),
        f"{queue}/purge": QueuePurge(operations.queues, operations.subscriptions, requests),
        f"{queue}/messages": MessageCollection(operations, *shown, streams),
        f"{OLD_PREFIX}/queues/{{queue}}/messages": OldMessageCollection(messages, *shown),
        f"{queue}/messages/{{message_id}}": MessageItem(messages, *shown),
        f"{queue}/claims": ClaimCollection(claims, polls, *shown),
        f"{queue}/claims/{{claim_id}}": ClaimItem(claims, *shown),
    }


def _cursor_routes(
    operations: Operations,
    requests: CursorRequestReader,
    responses: CursorResponseWriter,
    streams: EventStreams,
) -> dict[str, object]:
    above = f"{PREFIX}/queues/{{queue}}/cursors"
    cursors = (operations.cursors, requests, responses)
    return {
        above: CursorCollection(*cursors),
        f"{above}/{{cursor}}": CursorItem(*cursors),
        f"{above}/{{cursor}}/messages": CursorMessages(*cursors, streams),
        f"{above}/{{cursor}}/ack": CursorAcknowledgement(*cursors),
    }


def _letter_routes(
    operations: Operations, requests: LetterRequestReader, responses: LetterResponseWriter
) -> dict[str, object]:
    letters = (operations.dead_letters, requests, responses)
    return {
        f"{PREFIX}/queues/{{queue}}/dead_letters": DeadLetterCollection(*letters),
        f"{PREFIX}/queues/{{queue}}/redrive": QueueRedrive(*letters),
    }


def _subscription_routes(
    operations: Operations,
    requests: SubscriptionRequestReader,
    responses: SubscriptionResponseWriter,
) -> dict[str, object]:
    collection = f"{PREFIX}/queues/{{queue}}/subscriptions"
    item = f"{collection}/{{subscription_id}}"
    subscriptions = (operations.subscriptions, requests, responses)
    deliveries = (operations.deliveries, requests, responses)
    return {
        collection: SubscriptionCollection(*subscriptions),
        item: SubscriptionItem(*subscriptions),
        f"{item}/confirm": SubscriptionConfirmation(*subscriptions),
        f"{item}/deliveries": DeliveryCollection(*deliveries),
        f"{item}/replay": DeliveryReplay(*deliveries),
    }


def _grant_routes(
    operations: Operations,
    signer: ApplicationTokens,
    requests: GrantRequestReader,
    responses: GrantResponseWriter,
) -> dict[str, object]:
    shares = (operations.shares, requests, responses)
    tokens = (operations.tokens, signer, requests, responses)
    quotas = (operations.quotas, requests, responses)
    return {
        f"{PREFIX}/queues/{{queue}}/share": QueueShare(*shares),
        f"{PREFIX}/shares": ShareCollection(*shares),
        f"{PREFIX}/shares/{{share_id}}": ShareItem(*shares),
        f"{PREFIX}/tokens": TokenCollection(*tokens),
        f"{PREFIX}/tokens/{{token_id}}": TokenItem(*tokens),
        f"{PREFIX}/quota": OwnQuota(*quotas),
        f"{PREFIX}/quotas": QuotaCollection(*quotas),
    }


def _signal_routes(
    operations: Operations, requests: SignalRequestReader, responses: SignalResponseWriter
) -> dict[str, object]:
    signal = f"{PREFIX}/signals/{{signal}}"
    signals = (operations.signals, requests, responses)
    return {
        f"{PREFIX}/signals": SignalCollection(*signals),
        signal: SignalItem(*signals),
        f"{signal}/signal": SignalDoor(operations.signalling, requests, responses),
    }
