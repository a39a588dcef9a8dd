"""No unnecessary copies, and no growth of memory."""

import gc
import os

import feaug_torch as ft
import pytest
import torch


def allocated(call):
    """Bytes that PyTorch allocates during a call, including those that it frees again."""
    call()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        kept = call()
    del kept
    changes = [
        event.nbytes()
        for event in profile.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    return sum(change for change in changes if change > 0)


SLACK = 4096  # for losses, counters and PyTorch's rounding up


def test_the_measure_sees_a_copy(rows):
    x = rows(256, 64, torch.float32)
    assert allocated(lambda: x.T.contiguous()) >= x.numel() * 4


@pytest.mark.parametrize(
    "loss", [ft.info_nce, ft.symmetric_info_nce, ft.nt_xent, ft.negative_cosine, ft.vicreg]
)
def test_a_loss_allocates_the_gradients_that_are_wanted(rows, loss):
    x = rows(2 * 256, 64, torch.float32)
    strided = x[::2].requires_grad_()
    bytes_of_a_side = strided.numel() * 4
    other = rows(256, 64, torch.float32)
    assert allocated(lambda: loss(strided.detach(), other)) < SLACK
    assert allocated(lambda: loss(strided, other)) < bytes_of_a_side + SLACK
    both = rows(256, 64, torch.float32).requires_grad_()
    assert allocated(lambda: loss(strided, both)) < 2 * bytes_of_a_side + SLACK
    assert allocated(lambda: loss(strided, both, recompute=True)) < SLACK


def test_an_augmentation_allocates_its_result(rows):
    x = rows(512, 64, torch.float32)[::2].requires_grad_()
    bytes_of_x = x.numel() * 4
    for augment in (ft.mask, ft.gaussian_noise, ft.interpolate):
        assert allocated(lambda: augment(x, seed=1, step=2)) < bytes_of_x + SLACK


def test_the_queue_is_written_and_searched_where_it_is(rows):
    queue = ft.SupportQueue(4096, 64)
    address, rows_of_it = queue.rows.data_ptr(), queue.rows
    batch = rows(256, 64, torch.float32)
    bytes_of_batch = batch.numel() * 4
    assert allocated(lambda: queue.enqueue(batch)) < SLACK
    assert allocated(lambda: queue.nearest(batch)) < bytes_of_batch + 256 * 16 + SLACK
    assert queue.rows.data_ptr() == address
    torch.testing.assert_close(rows_of_it[:256], ft.l2_normalize(batch))


def test_the_bank_is_not_copied(rows):
    bank = ft.NNMemoryBankModule(size=(4096, 64))
    batch = rows(256, 64, torch.float32)
    wanted = 2 * batch.numel() * 4 + 256 * 16 + SLACK
    assert allocated(lambda: bank(batch, update=True)) < wanted < 4096 * 64 * 4
    moco = ft.NTXentLoss(memory_bank_size=(4096, 64))
    queries = rows(256, 64, torch.float32).requires_grad_()
    assert allocated(lambda: moco(queries, batch)) < wanted


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's /proc")
def test_ten_thousand_steps_leave_nothing_behind(rows):
    bank, queue = ft.NNMemoryBankModule(size=(64, 8)), ft.SupportQueue(64, 8)
    augment, loss_of = ft.FeatureAugmentation("mask", seed=1), ft.InfoNCELoss()
    z, weights = rows(16, 8, torch.float32), torch.eye(8, requires_grad=True)

    def steps(count):
        for step in range(count):
            p = augment(z @ weights)
            found = bank(z, update=True)
            loss = loss_of(found, p) + ft.nt_xent(p, z, recompute=step % 2 == 0)
            loss.backward()
            weights.grad = None
            queue.enqueue(p)
            queue.nearest(z)

    steps(1000)
    gc.collect()
    objects, before = len(gc.get_objects()), resident_bytes()
    steps(10000)
    gc.collect()
    assert resident_bytes() - before < 4 << 20
    assert len(gc.get_objects()) - objects < 200
