"""The rings of `/dev/vhost-net`, driven as a guest would: vhost-net proved end to end without one.

Job: lay out two split virtqueues in this process's own memory, hand them to vhost, pass single
Ethernet frames through them.
Leaves to others: the ioctls (`vmnet.kernel.ioctl`), opening both descriptors, the TAP and its link,
and looking at the link for what was sent (`vmnet.probe`).
Privilege: none of its own; it uses only the descriptors it is given.

Facts, by the names of linux/vhost.h, linux/virtio_ring.h, linux/virtio_net.h and linux/if_tun.h:

- Queue 0 is the guest's RX, queue 1 its TX. A ring starts with VHOST_NET_SET_BACKEND and stops with
  VHOST_FILE_UNBIND (-1). VHOST_SET_OWNER works once on a descriptor.
- With VIRTIO_F_VERSION_1 all of a ring is little-endian, and the 12 bytes of struct
  virtio_net_hdr_v1 go before each frame. Without VHOST_NET_F_VIRTIO_NET_HDR vhost neither adds nor
  strips them: they are the TAP's, which needs IFF_VNET_HDR and TUNSETVNETHDRSZ 12. A new TAP has
  10 (struct virtio_net_hdr); left so, vhost drops every frame for RX and says nothing.
- A TX ring that moved says that vhost offered the frame to the TAP, not that the TAP took it: one
  that is down drops it all the same. Only the frame on the TAP's link is a proof.
- Memory barriers: a driver needs one before it publishes an index and one after it reads one, and
  Python has none. x86 and s390 keep that order by themselves; elsewhere the eventfd's system calls
  between one side's stores and the other's loads stand in, enough for a frame at a time.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import time
from contextlib import ExitStack
from typing import Self

from vmnet.kernel import ioctl

# drivers/vhost/net.c VHOST_NET_VQ_RX, VHOST_NET_VQ_TX; linux/vhost.h VHOST_FILE_UNBIND
_RX, _TX, _UNBIND = 0, 1, -1

# linux/virtio_config.h, linux/virtio_ring.h
_VIRTIO_F_VERSION_1 = 32
_VRING_DESC_F_WRITE = 2  # vhost writes it, we read
_INDEX_MASK = 0xFFFF  # idx counts on through 65535 to 0, whatever the size of the ring

# linux/virtio_net.h struct virtio_net_hdr_v1; zeros are VIRTIO_NET_HDR_GSO_NONE, checksum complete
_HEADER = bytes(12)

#: Descriptors of each ring; a power of 2.
RING_SIZE = 8
_BUFFER_SIZE = 2048
#: Bytes of a frame, addresses included, checksum (FCS) not; at least ETH_HLEN.
FRAME_MIN = 14
FRAME_MAX = _BUFFER_SIZE - len(_HEADER)

_U16, _U32, _U64 = ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64


class _Desc(ctypes.LittleEndianStructure):
    """linux/virtio_ring.h struct vring_desc."""

    _fields_ = (("addr", _U64), ("len", _U32), ("flags", _U16), ("next", _U16))
    addr: int
    len: int
    flags: int


class _Avail(ctypes.LittleEndianStructure):
    """linux/virtio_ring.h struct vring_avail; used_event is VIRTIO_RING_F_EVENT_IDX's only."""

    _fields_ = (("flags", _U16), ("idx", _U16), ("ring", _U16 * RING_SIZE))
    idx: int
    ring: ctypes.Array[ctypes.c_uint16]


class _UsedElem(ctypes.LittleEndianStructure):
    """linux/virtio_ring.h struct vring_used_elem."""

    _fields_ = (("id", _U32), ("len", _U32))
    id: int
    len: int


class _Used(ctypes.LittleEndianStructure):
    """linux/virtio_ring.h struct vring_used; avail_event is VIRTIO_RING_F_EVENT_IDX's only."""

    _fields_ = (("flags", _U16), ("idx", _U16), ("ring", _UsedElem * RING_SIZE))
    idx: int
    ring: ctypes.Array[_UsedElem]


class _Queue(ctypes.LittleEndianStructure):
    """All the memory of one ring; buffer N belongs to descriptor N.

    ctypes writes an index in one store; `struct` would write it byte by byte while vhost looks.
    """

    _fields_ = (
        ("desc", _Desc * RING_SIZE),
        ("avail", _Avail),
        ("used", _Used),
        ("buffers", ctypes.c_ubyte * _BUFFER_SIZE * RING_SIZE),
    )
    desc: ctypes.Array[_Desc]
    avail: _Avail
    used: _Used
    buffers: ctypes.Array[ctypes.Array[ctypes.c_ubyte]]


class _Ring:
    """One ring, from memory to eventfds."""

    def __init__(self, vhost_fd: int, index: int, name: str, flags: int) -> None:
        self._vhost_fd, self._index, self._name = vhost_fd, index, name
        # A mapping begins with a page, so VRING_DESC_ALIGN_SIZE (16) holds. The view keeps it.
        self.queue = _Queue.from_buffer(mmap.mmap(-1, ctypes.sizeof(_Queue)))
        for desc, buffer in zip(self.queue.desc, self.queue.buffers, strict=True):
            desc.addr = ctypes.addressof(buffer)
            desc.flags = flags

    @property
    def region(self) -> tuple[int, int, int]:
        """The memory for VHOST_SET_MEM_TABLE: "guest physical" addresses are our own."""
        start = ctypes.addressof(self.queue)
        return start, ctypes.sizeof(self.queue), start

    def start(self, tap_fd: int, undo: ExitStack) -> None:
        """Give the ring to vhost; `undo` takes it back, then closes the eventfds."""
        fd, index, queue = self._vhost_fd, self._index, self.queue
        self._kick = os.eventfd(0, os.EFD_CLOEXEC)
        undo.callback(os.close, self._kick)
        self._call = os.eventfd(0, os.EFD_CLOEXEC)
        undo.callback(os.close, self._call)
        ioctl.vhost_set_vring_num(fd, index, RING_SIZE)
        ioctl.vhost_set_vring_base(fd, index, 0)
        desc, avail, used = map(ctypes.addressof, (queue.desc, queue.avail, queue.used))
        ioctl.vhost_set_vring_addr(fd, index, desc=desc, used=used, avail=avail)
        ioctl.vhost_set_vring_kick(fd, index, self._kick)
        ioctl.vhost_set_vring_call(fd, index, self._call)
        ioctl.vhost_net_set_backend(fd, index, tap_fd)
        undo.callback(ioctl.vhost_net_set_backend, fd, index, _UNBIND)

    def offer(self, number: int, length: int) -> None:
        """Make the first `length` bytes of a buffer available and tell vhost to look."""
        avail = self.queue.avail
        self.queue.desc[number].len = length
        avail.ring[avail.idx % RING_SIZE] = number
        avail.idx = (avail.idx + 1) & _INDEX_MASK
        os.eventfd_write(self._kick, 1)

    def wait(self, seen: int, timeout_s: float) -> bool:
        """Wait until the used index is no longer `seen`; False if it still is."""
        deadline = time.monotonic() + timeout_s
        poller = select.poll()
        poller.register(self._call, select.POLLIN)
        while self.queue.used.idx == seen:
            left_ms = max(0.0, deadline - time.monotonic()) * 1000
            if not poller.poll(left_ms):
                return self.queue.used.idx != seen
            # One signal may stand for many buffers, or for some seen before: the index decides.
            os.eventfd_read(self._call)
        return True

    def stuck(self) -> TimeoutError:
        """Return the error that says how far vhost came with what was offered."""
        taken = ioctl.vhost_get_vring_base(self._vhost_fd, self._index)
        what = "keeps" if taken == self.queue.avail.idx else "did not take"
        return TimeoutError(f"the {self._name} ring did not move: vhost {what} the buffer")


class Rings:
    """Both rings of a queue pair, as a guest's driver has them; use it in a `with`.

    Args:
        vhost_fd: of `/dev/vhost-net`, without an owner yet. Stays the caller's.
        tap_fd: of `/dev/net/tun`, attached to a TAP with IFF_TAP | IFF_NO_PI | IFF_VNET_HDR whose
            link is up. Stays the caller's. Nothing else may use the TAP meanwhile, and its header
            has 12 bytes from then on.

    Raises:
        OSError: on entering: EBUSY the vhost descriptor has an owner, EBADFD the TUN descriptor
            has no TAP, ENOTTY one of them is something else, ENOMEM no worker can be made, EMFILE.
    """

    def __init__(self, vhost_fd: int, tap_fd: int) -> None:
        self._vhost_fd, self._tap_fd = vhost_fd, tap_fd

    def __enter__(self) -> Self:
        fd = self._vhost_fd
        with ExitStack() as undo:
            ioctl.tun_set_vnet_hdr_sz(self._tap_fd, len(_HEADER))
            ioctl.vhost_set_owner(fd)
            ioctl.vhost_set_features(fd, 1 << _VIRTIO_F_VERSION_1)
            self._receive = _Ring(fd, _RX, "receive", _VRING_DESC_F_WRITE)
            self._transmit = _Ring(fd, _TX, "transmit", 0)
            rings = self._receive, self._transmit
            ioctl.vhost_set_mem_table(fd, [ring.region for ring in rings])
            for ring in rings:
                ring.start(self._tap_fd, undo)
            for number in range(RING_SIZE):
                self._receive.offer(number, _BUFFER_SIZE)
            self._taken = 0
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()
        # The memory goes last, and the numbers of the closed eventfds with it.
        del self._receive, self._transmit

    def send(self, frame: bytes, timeout_s: float) -> None:
        """Send one frame to the TAP's link and wait until vhost gives the buffer back.

        Args:
            frame: FRAME_MIN to FRAME_MAX bytes.
            timeout_s: seconds.

        Raises:
            ValueError: the frame is too short or too long.
            TimeoutError: the transmit ring did not move, or an earlier frame is still in it.
        """
        if not FRAME_MIN <= len(frame) <= FRAME_MAX:
            raise ValueError(f"a frame of {len(frame)} bytes")
        ring, sent = self._transmit, self._transmit.queue.avail.idx
        # A buffer that vhost still has must not change under it.
        if ring.queue.used.idx != sent:
            raise ring.stuck()
        data, number = _HEADER + frame, sent % RING_SIZE
        ctypes.memmove(ring.queue.buffers[number], data, len(data))
        ring.offer(number, len(data))
        if not ring.wait(sent, timeout_s):
            raise ring.stuck()

    def receive(self, timeout_s: float) -> bytes | None:
        """Take the next frame that this host sent to the TAP's link, be it IPv6's own.

        Args:
            timeout_s: seconds; 0 only looks.

        Returns:
            The frame; None if none came. One of more than FRAME_MAX bytes is lost.
        """
        ring = self._receive
        if not ring.wait(self._taken, timeout_s):
            return None
        used = ring.queue.used.ring[self._taken % RING_SIZE]
        self._taken = (self._taken + 1) & _INDEX_MASK
        frame = bytes(ring.queue.buffers[used.id])[len(_HEADER) : used.len]
        ring.offer(used.id, _BUFFER_SIZE)
        return frame
