"""What takes long is found out once for all, and never takes more than a fifth of the time."""

import threading

from hyperfit.web.kept import SHARE, Kept


def test_it_is_kept_the_longer_the_longer_it_takes() -> None:
    now, found = [0.0], list[float]()

    def find() -> int:
        now[0] += 2
        found.append(now[0])
        return len(found)

    kept = Kept(find, lambda: now[0])
    assert [kept(), kept()] == [1, 1]
    now[0] = 2 + 2 * (1 / SHARE - 1) - 0.01
    assert kept() == 1
    now[0] = 10.0
    assert kept() == 2
    kept.forget()
    assert kept() == 3


def test_many_at_once_wait_for_one() -> None:
    begun, go_on, count = threading.Event(), threading.Event(), list[int]()

    def find() -> int:
        begun.set()
        go_on.wait(30)
        count.append(1)
        return len(count)

    times = iter([0.0, *[100.0] * 9])  # it takes 100 seconds, and so is kept
    kept, told = Kept(find, lambda: next(times)), list[int]()
    threads = [threading.Thread(target=lambda: told.append(kept())) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    go_on.set()
    for thread in threads:
        thread.join()
    assert (told, count) == ([1, 1, 1, 1], [1])
