"""Limits on what an HTTP/2 peer can make this side keep or do (RFC 9113 section 10.5)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["H2Limits"]


@dataclass(frozen=True, slots=True)
class H2Limits:
    """What this side announces and enforces. Sizes in bytes; passing a flood limit ends the connection with ENHANCE_YOUR_CALM.

    Args:
        max_concurrent_streams: streams the peer may have open at once.
        stream_window: initial flow-control window of each stream; a slow reader holds up no more than this.
        connection_window: flow-control window of the connection, for all streams together.
        max_frame_size: of frames the peer may send, 16,384 to 16,777,215.
        max_header_list_size: of a decoded header section, by RFC 9113 section 6.5.2's count.
        header_table_size: HPACK table this side keeps for decoding.
        max_resets: streams the peer may reset (or make this side reset) in a burst, and
        resets_per_second: how fast that allowance grows back (CVE-2023-44487).
        max_control_frames: SETTINGS, PING, PRIORITY and empty DATA frames in a burst, and
        control_frames_per_second: how fast that allowance grows back.
        max_small_frames: DATA frames of a few bytes, WINDOW_UPDATEs and acknowledgements in a burst, and
        small_frames_per_second: how fast that allowance grows back; each KiB of data that this side sends gives one back too,
            as large uploads are answered by many WINDOW_UPDATEs.
        max_continuations: CONTINUATION frames in one header section.
        max_informational: 1xx responses before a final one; beyond, the stream is reset.
        max_queued_answers: bytes of answers, such as acknowledgements, to a peer that reads none of them.
        enable_push: whether a client takes pushed streams, up to `max_concurrent_streams` of them; where it does not, a
            PUSH_PROMISE ends the connection with PROTOCOL_ERROR.
        enable_connect_protocol: whether a server takes CONNECT requests with `:protocol` (RFC 8441).
    """

    max_concurrent_streams: int = 100
    stream_window: int = 1024 * 1024
    connection_window: int = 16 * 1024 * 1024
    max_frame_size: int = 64 * 1024
    max_header_list_size: int = 64 * 1024
    header_table_size: int = 4096
    max_resets: int = 200
    resets_per_second: float = 33.0
    max_control_frames: int = 1000
    control_frames_per_second: float = 100.0
    max_small_frames: int = 50_000
    small_frames_per_second: float = 5_000.0
    max_continuations: int = 16
    max_informational: int = 100
    max_queued_answers: int = 256 * 1024
    enable_push: bool = False
    enable_connect_protocol: bool = False
