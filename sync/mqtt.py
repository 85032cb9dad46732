"""One MQTT connection on paho, driven by the event loop: no thread of its own, no queue of its own.

paho keeps what it is given while disconnected and sends it again out of order. So each connection is a new
client, nothing is handed to it before CONNACK, and what is in flight when it ends is forgotten here: the
journal knows better.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers
from paho.mqtt.reasoncodes import ReasonCode

from edge.ports import Unavailable
from sync import tls
from sync.apart import Apart
from sync.tls import Login

log = logging.getLogger(__name__)

KEEPALIVE = 10
CONNECT = 1.0
"""Seconds a connection may take, TLS included."""
SILENT = KEEPALIVE + 6.0
"""Seconds without a byte from the broker after which it is gone: paho asks after KEEPALIVE, and would wait as long
again for the answer.
"""
ANSWER = 10.0
"""Seconds the broker may take for CONNACK, SUBACK, PUBACK."""
WINDOW = 20
"""Publishes in flight; paho and mosquitto take no more by themselves."""
_BEAT = 2.0
"""Seconds between two looks at what is due."""
TAKEN_OVER = 0x8E
_MEANT = (0x87, 0x90, 0x97, 0x99)
"""Reasons of a DISCONNECT that are about the packet before it (MQTT 5, table 3-10)."""
_NOT_AUTHORISED = (0x84, 0x85, 0x86, 0x87, 0x8C)


@dataclass(frozen=True, slots=True)
class Server:
    """Where and as whom to connect. `session_expiry`: seconds the broker keeps what it has for us.

    `login` is asked anew for each connection.
    """

    host: str
    port: int
    client_id: str
    v5: bool
    session_expiry: int
    username: str | None = None
    login: Callable[[], Login] = Login
    dials: Apart = field(default_factory=Apart, compare=False, repr=False)


def properties(packet: int, **values: object) -> Properties:
    """MQTT 5 properties of a packet type (paho's PacketTypes)."""
    made = Properties(packet)  # type: ignore[no-untyped-call]  # paho has no types here
    for name, value in values.items():
        setattr(made, name, value)
    return made


@dataclass(frozen=True, slots=True)
class Packed:
    """Properties of a PUBLISH, encoded (MQTT 5, 2.2.2). paho takes 0.2 ms to make and to pack its own."""

    encoded: bytes

    def pack(self) -> bytes:
        return _length(len(self.encoded)) + self.encoded


def same_for_all(**values: object) -> bytes:
    """Encoded properties that many a PUBLISH has."""
    packed: bytes = properties(PacketTypes.PUBLISH, **values).pack()  # type: ignore[no-untyped-call]
    return next(packed[n:] for n in range(1, 5) if packed[:n] == _length(len(packed) - n))


def message_expiry(seconds: int) -> bytes:
    """The encoded property Message Expiry Interval (MQTT 5, 3.3.2.3.3)."""
    return b"\x02" + seconds.to_bytes(4)


def correlation_data(data: bytes) -> bytes:
    """The encoded property Correlation Data (MQTT 5, 3.3.2.3.6)."""
    return b"\x09" + len(data).to_bytes(2) + data


def _length(value: int) -> bytes:
    return bytes(VariableByteIntegers.encode(value))  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: bytes
    mid: int


class Connection:
    """An open connection. `lost` is set when it is over, and then nothing works any more."""

    def __init__(self, client: paho.Client, loop: asyncio.AbstractEventLoop) -> None:
        self.lost: asyncio.Future[Unavailable] = loop.create_future()
        self.window = WINDOW
        self._client = client
        self._loop = loop
        self._heard = loop.time()
        self._acks: dict[int, asyncio.Future[int]] = {}

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, properties: Packed | None = None
    ) -> asyncio.Future[int]:
        """Publishes at QoS 1; the result is the PUBACK's reason code (0 on 3.1.1). Raises Unavailable."""
        if self.lost.done():
            raise self.lost.result()
        info = self._client.publish(topic, payload, qos=1, retain=retain, properties=cast(Any, properties))
        self.flush()
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise Unavailable(f"the broker is gone: {paho.error_string(info.rc)}")
        return self._expect(info.mid)

    def mention(self, topic: str, payload: bytes) -> None:
        """Publishes at QoS 0, retained: nobody answers, and nothing waits. Not on a connection that is over."""
        if not self.lost.done():
            self._client.publish(topic, payload, qos=0, retain=True)
            self.flush()

    async def subscribe(self, topic: str) -> None:
        """Subscribes at QoS 1. Raises Unavailable if the broker does not grant it."""
        rc, mid = self._client.subscribe(topic, 1)
        self.flush()
        if rc != paho.MQTT_ERR_SUCCESS or mid is None:
            raise Unavailable(f"the broker is gone: {paho.error_string(rc)}")
        code = await self.answer(self._expect(mid))
        if code >= 0x80:
            raise Unavailable(f"the broker refuses a subscription (0x{code:02x})", state="refused", retry_after=60)

    async def answer(self, expected: asyncio.Future[int]) -> int:
        """Waits for a reason code. Raises Unavailable when the connection ends first, or after ANSWER seconds."""
        if not expected.done():
            async with _deadline("the broker does not answer"):
                await asyncio.wait((expected, self.lost), return_when=asyncio.FIRST_COMPLETED)
        if expected.done():
            return expected.result()
        raise self.lost.result()

    async def wait(self, last: asyncio.Future[int]) -> None:
        """Waits for the last answer that is expected; without it in ANSWER seconds the connection is over."""
        ended, _ = await asyncio.wait((last, self.lost), timeout=ANSWER, return_when=asyncio.FIRST_COMPLETED)
        if not ended:
            self.over(Unavailable("the broker does not answer"))

    def acknowledge(self, message: Message) -> None:
        """Tells the broker that the message is safe here; what came at QoS 0 has no number, and it does not ask."""
        if message.mid and not self.lost.done():
            self._client.ack(message.mid, 1)
            self.flush()

    def flush(self) -> None:
        """paho has written what it was given; what the socket did not take goes as soon as it does."""
        if self._client.want_write() and (sock := self._client.socket()):
            self._loop.add_writer(sock, self._write, sock)

    def _write(self, sock: Any) -> None:
        self._client.loop_write()
        if not self._client.want_write():
            _quietly(self._loop.remove_writer, sock)

    def _expect(self, mid: int) -> asyncio.Future[int]:
        return self._acks.setdefault(mid, asyncio.get_running_loop().create_future())

    def heard(self) -> None:
        """Something came."""
        self._heard = self._loop.time()

    def listen(self) -> None:
        """It is over if nothing has come for too long."""
        if self._loop.time() - self._heard > SILENT:
            self.over(Unavailable("the broker is gone: it has fallen silent"))

    def answered(self, mid: int, code: int) -> None:
        if (future := self._acks.pop(mid, None)) and not future.done():
            future.set_result(code)

    def over(self, error: Unavailable, code: int = 0) -> None:
        """It has ended. `code`: the DISCONNECT's, which is the answer if only one is awaited."""
        if code in _MEANT and len(self._acks) == 1:
            self.answered(next(iter(self._acks)), code)
        if not self.lost.done():
            self.lost.set_result(error)


@asynccontextmanager
async def connect(
    server: Server, will: tuple[str, bytes] | None, on_message: Callable[[Message], None]
) -> AsyncIterator[Connection]:
    """An open connection with a persistent session, QoS 1 messages acknowledged by hand. Raises Unavailable.

    `will`: what the broker publishes, retained, when it is over, also in the end.
    """
    loop = asyncio.get_running_loop()
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=server.client_id,
        protocol=paho.MQTTv5 if server.v5 else paho.MQTTv311,
        clean_session=None if server.v5 else False,
        manual_ack=True,
        reconnect_on_failure=False,
    )
    client.connect_timeout = CONNECT
    login = server.login()
    client.username_pw_set(server.username, login.secret)
    if will:
        client.will_set(*will, qos=1, retain=True)
    if login.tls:
        login.tls.sslsocket_class = _Socket
        client.tls_set_context(login.tls)
    connection = Connection(client, loop)
    connected: asyncio.Future[int] = loop.create_future()
    _wire(client, connection, connected, on_message, loop)
    arguments: dict[str, Any] = {"keepalive": KEEPALIVE}
    if server.v5:
        expiry = properties(PacketTypes.CONNECT, SessionExpiryInterval=server.session_expiry)
        arguments |= {"clean_start": False, "properties": expiry}
    await _dial(client, server, arguments)
    sock: Any = client.socket()
    beat: asyncio.TimerHandle | None = None

    def misc() -> None:
        nonlocal beat
        client.loop_misc()
        connection.flush()
        connection.listen()
        beat = loop.call_later(_BEAT, misc)

    try:
        if sock is None:
            closed = Unavailable("the broker closed the connection", connected=False)
            raise tls.hung_up("the broker") if login.tls else closed
        # Else a push waits up to 40 ms for the TCP acknowledgement of what was sent just before (Nagle).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop.add_reader(sock, _read, client, sock, connection)
        connection.flush()
        misc()
        await _welcome(connection, connected, sock)
        yield connection
    finally:
        if beat:
            beat.cancel()
        client.on_disconnect = client.on_socket_close = None
        if sock is not None and sock.fileno() >= 0:  # before paho closes it: the next socket may get its number
            loop.remove_reader(sock)
            loop.remove_writer(sock)
        with suppress(OSError):
            if not will:  # else the broker is to say by it that we are gone
                client.disconnect()
        if sock is not None:
            sock.close()


async def _dial(client: paho.Client, server: Server, arguments: dict[str, Any]) -> None:
    """Name, TCP and TLS, within CONNECT. paho itself would give a handshake its whole keepalive."""
    try:
        dialling = server.dials.start(partial(client.connect, server.host, server.port, **arguments))
        try:
            async with asyncio.timeout(CONNECT):
                await asyncio.wrap_future(dialling)
        except TimeoutError:
            dialling.add_done_callback(lambda late: late.exception() or client.disconnect())
            raise Unavailable("no connection to the broker: it takes too long", connected=False) from None
    except ssl.SSLError as error:
        raise tls.failed(error, "the broker") from None
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or error
        raise Unavailable(f"no connection to the broker: {text}", connected=False) from None


class _Socket(ssl.SSLSocket):
    """Keeps why it was ended: in TLS 1.3 the refusal of our certificate comes after the handshake."""

    failure: ssl.SSLError | None = None

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        try:
            return super().recv(buflen, flags)
        except ssl.SSLWantReadError:
            raise
        except ssl.SSLError as error:
            self.failure = error
            raise


async def _welcome(connection: Connection, connected: asyncio.Future[int], sock: Any) -> None:
    """Waits for CONNACK. A connection that is reset before it never came about."""
    try:
        code = await connection.answer(connected)
    except Unavailable as error:
        if connection.lost.done() and isinstance(sock, _Socket):
            raise (tls.failed(sock.failure, "the broker") if sock.failure else tls.hung_up("the broker")) from None
        if connection.lost.done() and error.state == "unavailable":
            raise Unavailable(str(error), connected=False) from None
        raise
    if code:
        state: Literal["refused", "unavailable"] = "refused" if code in _NOT_AUTHORISED else "unavailable"
        raise Unavailable(f"the broker refuses us: {_reason(code)}", state=state)


def _wire(
    client: paho.Client,
    connection: Connection,
    connected: asyncio.Future[int],
    on_message: Callable[[Message], None],
    loop: asyncio.AbstractEventLoop,
) -> None:
    def on_connect(_c: object, _u: object, _f: object, code: ReasonCode, properties: Properties | None) -> None:
        connection.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        if not connected.done():
            connected.set_result(code.value)

    def on_disconnect(_c: object, _u: object, _f: object, code: ReasonCode, _p: object) -> None:
        taken = code.value == TAKEN_OVER
        text = "somebody else took our client id; is there a second gateway of this name?" if taken else str(code)
        state: Literal["refused", "unavailable"] = "refused" if taken else "unavailable"
        gone = Unavailable(f"the broker is gone: {text}", state=state, retry_after=60 if taken else None)
        connection.over(gone, code.value)

    def on_publish(_c: object, _u: object, mid: int, code: ReasonCode, _p: object) -> None:
        connection.answered(mid, code.value)

    def on_subscribe(_c: object, _u: object, mid: int, codes: list[ReasonCode], _p: object) -> None:
        connection.answered(mid, max(code.value for code in codes))

    def received(_c: object, _u: object, message: paho.MQTTMessage) -> None:
        on_message(Message(message.topic, bytes(message.payload), message.mid))

    def closing(_c: object, _u: object, sock: Any) -> None:
        _quietly(loop.remove_reader, sock)
        _quietly(loop.remove_writer, sock)

    client.on_connect = on_connect
    client.on_disconnect = on_disconnect
    client.on_publish = on_publish
    client.on_subscribe = on_subscribe
    client.on_message = received
    client.on_socket_close = closing


def _read(client: paho.Client, sock: Any, connection: Connection) -> None:
    """All there is: what TLS has unpacked already does not make the socket readable again."""
    connection.heard()
    # Else a broker that gathers its answers (Nagle) waits up to 40 ms for the TCP acknowledgement of the first.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    client.loop_read()
    while isinstance(sock, ssl.SSLSocket) and sock.fileno() >= 0 and sock.pending():
        client.loop_read()


def _quietly(call: Callable[..., object], *arguments: Any) -> None:
    """A socket that is closed already has nothing left to remove."""
    with suppress(ValueError, OSError):
        call(*arguments)


@asynccontextmanager
async def _deadline(reason: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(ANSWER):
            yield
    except TimeoutError:
        raise Unavailable(reason) from None


def _reason(code: int) -> str:
    return str(ReasonCode(PacketTypes.CONNACK, identifier=code))
