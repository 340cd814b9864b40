"""Which sources stay on a device, for how long, and within what bound. Their pixels: test_grid.py."""

import numpy as np
import pytest

from augsvc.executors.cuda.source_cache import Resident


class Memory:
    """A device of NumPy arrays that counts what it was sent."""

    def __init__(self, room=1 << 20):
        self.room, self.sent, self.bytes = room, 0, None

    def buffer(self, size, copied):
        if size > self.room:
            raise MemoryError
        return np.zeros(size, np.uint8)

    def staging(self, size):
        self.bytes = np.zeros(size, np.uint8)
        return self

    def place(self, staged, size, buffer, offset):
        self.sent += size
        buffer[offset : offset + size] = staged.bytes[:size]

    def view(self, buffer, offset, shape, dtype):
        return buffer[offset : offset + shape[0]]

    def ran_out_of_memory(self, error):
        return isinstance(error, MemoryError)


def picture(level, side=10):
    made = np.full((side, side, 1), level, np.uint8)
    made.setflags(write=False)
    return made


def seen(resident, images):
    """What a kernel would read of each; None if they are to be sent some other way."""
    found = resident.sent(images, resident.device.staging)
    if found is None:
        return None
    return [found[0][at : at + image.size].reshape(image.shape) for image, at in zip(images, found[1], strict=True)]


def assert_there(resident, images):
    for here, there in zip(images, seen(resident, images), strict=True):
        assert (here == there).all()


def test_what_was_sent_is_not_sent_again_in_any_order_and_company():
    resident = Resident(Memory(), 1000)
    images = [picture(k) for k in range(8)]
    assert_there(resident, images[:5])
    assert_there(resident, [*images[6:1:-1], images[3]])
    assert resident.device.sent == 700
    assert_there(resident, images[:7])
    assert resident.device.sent == 700


def test_views_of_one_array_are_known_apart():
    whole = np.arange(600, dtype=np.uint8).reshape(6, 10, 10, 1)
    whole.setflags(write=False)
    resident = Resident(Memory(), 600)
    for _ in range(2):
        assert_there(resident, [whole[k] for k in range(3)])
        assert_there(resident, [whole[0, ::2], whole[0, 1::2], whole[1].transpose(1, 0, 2)])
    assert resident.device.sent == 300 + 50 + 50 + 100


def test_the_bound_is_never_exceeded_and_what_is_there_stays():
    resident = Resident(Memory(), 250)
    first, second, third = picture(1), picture(2), picture(3)
    assert_there(resident, [first, second])
    assert seen(resident, [third]) is None and seen(resident, [first, third]) is None
    assert_there(resident, [second, first])
    assert (resident.device.sent, len(resident.arena)) == (200, 250)


def test_what_may_change_is_not_kept():
    resident = Resident(Memory(), 1000)
    assert seen(resident, [picture(1), np.zeros((10, 10, 1), np.uint8)]) is None
    assert resident.device.sent == 0


def test_what_the_host_forgets_is_forgotten_and_its_room_comes_back():
    resident = Resident(Memory(), 300)
    keeps = picture(0)
    assert_there(resident, [keeps])
    for level in range(1, 50):
        resident.begin()
        assert_there(resident, [picture(level), keeps])
    assert resident.used <= 300
    assert len(resident.begins) <= 2


def test_another_picture_in_the_same_memory_is_another_picture():
    resident = Resident(Memory(), 100_000)
    for level in range(200):  # NumPy gives the memory of the last one to the next
        assert_there(resident, [picture(level)])
    assert resident.device.sent == 20_000


def test_without_memory_nothing_is_kept_and_it_is_told_once(caplog):
    resident = Resident(Memory(room=100), 1000)
    for _ in range(3):
        assert seen(resident, [picture(1)]) is None
    assert caplog.text.count("device_cache_bytes") == 1


def test_another_error_is_not_taken_for_it():
    class Broken(Memory):
        def buffer(self, size, copied):
            raise OSError

    with pytest.raises(OSError):
        seen(Resident(Broken(), 1000), [picture(1)])


def test_closed_it_gives_the_memory_back_until_it_is_opened():
    resident = Resident(Memory(), 1000)
    assert not Resident(Memory(), 1000).close()
    one = picture(1)
    assert_there(resident, [one])
    assert resident.close() and not resident.close()
    assert resident.arena is None and seen(resident, [one]) is None
    resident.open()
    assert_there(resident, [one])


def test_it_is_told_once_even_if_it_is_tried_again(caplog):
    resident = Resident(Memory(room=100), 1000)
    for _ in range(3):
        assert seen(resident, [picture(1)]) is None
        resident.open()
    assert caplog.text.count("device_cache_bytes") == 1
    resident.device.room = 1000
    assert_there(resident, [picture(2)])
