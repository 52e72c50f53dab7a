def test_x(house):
    from .conftest import account, BAKERY
    import time

    t = time.time()
    b = house.books(jan=[account(BAKERY, since=10)], shares={"jan": [BAKERY]}, journals=[BAKERY])
    print(b.row(), time.time() - t)
    t = time.time()
    print(b.activate(), b.row(), time.time() - t)
    t = time.time()
    from banklink.core.statuses import Action

    a = b.visit(b.depart(Action.RENEW))
    print(a, time.time() - t)
    t = time.time()
    print(b.come_back(a), b.row(), b.attempt().outcome, time.time() - t)
    t = time.time()
    t = time.time()
    house.empty()
    print("empty", time.time() - t)
