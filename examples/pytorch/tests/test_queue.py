"""SupportQueue and NNMemoryBankModule against a list of rows."""

import copy
import io

import feaug_torch as ft
import formulas
import pytest
import torch
from formulas import unit


class PlainQueue:
    """A first-in-first-out reference that inserts one row at a time."""

    def __init__(self, size, dim):
        self.rows, self.written = torch.zeros(size, dim, dtype=torch.float64), 0

    def enqueue(self, batch):
        for row in batch.double():
            self.rows[self.written % len(self.rows)] = row
            self.written += 1


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_the_queue_wraps(rows, dtype):
    queue, plain = ft.SupportQueue(10, 4).to(dtype), PlainQueue(10, 4)
    for count in (4, 0, 5, 7, 10, 1, 25, 3):
        batch = rows(count, 4, dtype)
        queue.enqueue(batch)
        plain.enqueue(unit(batch.double()))
        torch.testing.assert_close(
            queue.rows.double(), plain.rows, rtol=0, atol=2 * torch.finfo(dtype).eps
        )
        assert queue.cursor == plain.written % 10
        assert queue.filled == min(plain.written, 10)


def test_of_a_batch_larger_than_the_queue_the_newest_stay_as_if_they_came_one_by_one(rows):
    batch = rows(28, 4, torch.float32)
    at_once, by_one = ft.SupportQueue(10, 4), ft.SupportQueue(10, 4)
    at_once.enqueue(batch[:3])
    at_once.enqueue(batch[3:])
    for row in batch:
        by_one.enqueue(row[None])
    for name, value in at_once.state_dict().items():
        assert torch.equal(value, by_one.state_dict()[name])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_nearest_is_exact(rows, dtype):
    queue = ft.SupportQueue(200, 24).to(dtype)
    queue.enqueue(rows(150, 24, dtype))
    queries = rows(33, 24, dtype)
    found = queue.nearest(queries, k=5)
    wanted = formulas.nearest(queue.rows[:150], queries, 5)
    assert torch.equal(found.indices, wanted)
    assert torch.equal(found.values, queue.rows[wanted])
    cosines = torch.einsum("nd,nkd->nk", unit(queries.double()), found.values.double())
    torch.testing.assert_close(
        found.similarities.double(), cosines, rtol=0, atol=4 * torch.finfo(dtype).eps
    )


def test_of_equal_rows_the_lowest_slot_is_found(rows):
    row, queue = rows(1, 6, torch.float32), ft.SupportQueue(9, 6)
    queue.enqueue(torch.cat([rows(2, 6, torch.float32), *[row] * 5]))
    assert queue.nearest(3 * row, k=5).indices.tolist() == [[2, 3, 4, 5, 6]]


def test_slots_that_are_not_filled_are_not_found():
    queue = ft.SupportQueue(50, 6)
    queue.enqueue(-torch.ones(3, 6))
    assert queue.nearest(torch.ones(4, 6), k=3).indices.max() == 2


def test_a_queue_takes_no_gradient(rows):
    queue, z = ft.SupportQueue(20, 6).double(), rows(5, 6).requires_grad_()
    queue.enqueue(z)
    found = queue.nearest(z)
    assert not found.values.requires_grad and not queue.rows.requires_grad


def test_a_queue_resumes_bit_for_bit(rows):
    batches = [rows(count, 6, torch.float32) for count in (7, 9, 4, 11, 6)]
    queue = ft.SupportQueue(16, 6)
    for batch in batches[:3]:
        queue.enqueue(batch)
    resumed = ft.SupportQueue(16, 6)
    resumed.load_state_dict(through_a_file(queue.state_dict()))
    for batch in batches[3:]:
        for x, y in zip(queue.nearest(batch, k=3), resumed.nearest(batch, k=3)):
            assert torch.equal(x, y)
        queue.enqueue(batch)
        resumed.enqueue(batch)
    for name, value in queue.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])


def test_a_copied_queue_is_another(rows):
    queue = ft.SupportQueue(16, 6)
    queue.enqueue(rows(5, 6, torch.float32))
    other = copy.deepcopy(queue)
    before = copy.deepcopy(queue.state_dict())
    other.enqueue(rows(9, 6, torch.float32))
    for name, value in queue.state_dict().items():
        assert torch.equal(value, before[name])
    assert other.filled == 14


def plain_bank(module):
    (bank,) = [v for v in module.state_dict().values() if v.shape == (10, 4)]
    return bank.clone()


def test_the_bank_is_looked_up_before_it_is_written_and_gives_rows_as_they_came(rows):
    module = ft.NNMemoryBankModule(size=(10, 4))
    wanted = PlainQueue(10, 4)
    wanted.rows = plain_bank(module).double()
    torch.testing.assert_close(wanted.rows.norm(dim=1), torch.ones(10, dtype=torch.float64))
    for count in (3, 3, 3, 3, 1, 10, 23, 2):  # lightly drops rows of the fourth batch
        batch = 3 * rows(count, 4, torch.float32)
        nearest = wanted.rows[formulas.nearest(wanted.rows, batch, 1)[:, 0]].float()
        assert torch.equal(module(batch), nearest)  # update=False by default
        assert torch.equal(module(batch, update=True), nearest)
        wanted.enqueue(batch)
        assert torch.equal(plain_bank(module), wanted.rows.float())


def test_what_the_bank_gives_is_no_view_of_it(rows):
    module = ft.NNMemoryBankModule(size=(10, 4))
    found = module(rows(3, 4, torch.float32))
    kept = found.clone()
    for _ in range(4):
        module(rows(5, 4, torch.float32), update=True)
    assert torch.equal(found, kept) and not found.requires_grad


def test_a_bank_resumes_bit_for_bit(rows):
    module = ft.NNMemoryBankModule(size=(10, 4))
    module(rows(7, 4, torch.float32), update=True)
    resumed = ft.NNMemoryBankModule(size=(10, 4))
    resumed.load_state_dict(through_a_file(module.state_dict()))
    for count in (6, 2, 13):
        batch = rows(count, 4, torch.float32)
        assert torch.equal(module(batch, update=True), resumed(batch, update=True))
    for name, value in module.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])


def test_a_size_alone_learns_the_dimension_from_the_first_batch(rows):
    module = ft.NNMemoryBankModule(size=10)
    module(rows(3, 4, torch.float32), update=True)
    state = through_a_file(module.state_dict())
    fresh = ft.NNMemoryBankModule(size=10)
    fresh.load_state_dict(state)  # before the first batch
    batch = rows(5, 4, torch.float32)
    assert torch.equal(fresh(batch), module(batch))
    assert plain_bank(fresh).shape == (10, 4)
    never_used = ft.NNMemoryBankModule(size=10)
    ft.NNMemoryBankModule(size=10).load_state_dict(through_a_file(never_used.state_dict()))


def test_a_bank_may_begin_empty(rows, refuses):
    module, first, second = ft.NNMemoryBankModule((10, 4), filled=False), rows(5, 4), rows(3, 4)
    module = module.double()
    refuses(lambda: module(first), "no filled rows, wanted at least one")
    assert torch.equal(module(first, update=True), first)  # each row is its own nearest neighbour
    assert torch.equal(module(second), first[formulas.nearest(first, second, 1)[:, 0]])


def test_labels_go_with_their_rows(rows, refuses):
    queue, labels = ft.SupportQueue(10, 4, labels=True).double(), torch.arange(23) % 5
    batch = rows(23, 4)
    queue.enqueue(batch[:9], labels[:9])
    queue.enqueue(batch[9:], labels[9:])
    assert torch.equal(queue.labels[queue.nearest(batch[13:]).indices], labels[13:])
    resumed = ft.SupportQueue(10, 4, labels=True).double()
    resumed.load_state_dict(through_a_file(queue.state_dict()))
    assert torch.equal(resumed.labels, queue.labels)
    refuses(lambda: queue.enqueue(batch, labels[:3]), "enqueue", "labels", "got", "3", "wanted")


def test_a_bank_is_moved_to_another_type(rows):
    module = ft.NNMemoryBankModule(size=(10, 4))
    before = plain_bank(module)
    module = module.double()
    assert plain_bank(module).dtype == torch.float64
    assert torch.equal(plain_bank(module).float(), before)
    assert module(rows(3, 4), update=True).dtype == torch.float64


def test_errors(rows, refuses):
    empty, queue = ft.SupportQueue(8, 4), ft.SupportQueue(8, 4)
    queue.enqueue(rows(5, 4, torch.float32))
    batch = rows(2, 4, torch.float32)
    refuses(lambda: empty.nearest(batch), "nearest", "no filled rows, wanted at least one")
    refuses(lambda: queue.nearest(batch, k=6), "nearest", "k: got 6, wanted")
    refuses(lambda: queue.nearest(batch[:, :3]), "queries: got 3 columns, wanted 4")
    refuses(lambda: queue.enqueue(batch[:, :3]), "enqueue", "got 3 columns, wanted 4")
    refuses(lambda: ft.SupportQueue(0, 4), "SupportQueue", "size", "got 0")
    refuses(lambda: ft.NNMemoryBankModule(size=-3), "size", "-3", error=ValueError)


def test_without_k_there_is_no_axis_of_neighbours(rows):
    queue = ft.SupportQueue(20, 6).double()
    queue.enqueue(rows(20, 6))
    queries = rows(7, 6)
    one, first = queue.nearest(queries), queue.nearest(queries, k=1)
    assert first.values.shape == (7, 1, 6)
    for x, y in zip(one, first):
        assert torch.equal(x, y[:, 0])


def test_any_matrix_is_searched(rows):
    support, queries = rows(50, 6, torch.float32), rows(7, 6, torch.float32)
    found = ft.nearest(support, queries, k=3)
    wanted = formulas.nearest(support, queries, 3)
    assert torch.equal(found.indices, wanted) and torch.equal(found.values, support[wanted])
    assert ft.nearest(support, queries[:0]).values.shape == (0, 6)


def test_momentum_update(rows):
    online = [rows(3, 4), rows(1, 5)[0], rows(2, 2)]
    target = [rows(3, 4), rows(1, 5)[0], rows(2, 2)]
    wanted = [0.9 * t + 0.1 * o for t, o in zip(target, online)]
    ft.momentum_update(online, target, 0.9)
    torch.testing.assert_close(target, wanted)
    network, follower = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
    follower.load_state_dict(network.state_dict())
    ft.momentum_update(network.parameters(), follower.parameters(), 0.5)
    torch.testing.assert_close(follower.state_dict(), network.state_dict())


def test_what_is_written_is_marked_as_changed(rows):
    queue = ft.SupportQueue(8, 3)
    before = [x._version for x in queue.buffers()]
    queue.enqueue(rows(2, 3, torch.float32))
    assert all(x._version > version for x, version in zip(queue.buffers(), before))
    target = rows(4, 3)
    before = target._version
    ft.momentum_update([rows(4, 3)], [target], 0.5)
    torch.ops.feaug.momentum_update([target], [rows(4, 3)], 0.5)
    assert target._version >= before + 2


def test_a_compiled_enqueue_is_marked_too(rows, refuses):
    queue = ft.SupportQueue(8, 3)
    step = torch.compile(lambda batch: queue.enqueue(batch), backend="eager")
    step(rows(2, 3, torch.float32))
    features = rows(4, 3, torch.float32).requires_grad_()
    loss = (features @ queue.rows.t()).logsumexp(1).sum()
    step(rows(2, 3, torch.float32))
    refuses(loss.backward, "modified by an inplace operation")
