"""Two processes, each with half of the rows, give the same losses, gradients, queue and masks as one process with all rows."""

import feaug_torch as ft
import pytest
import torch
import torch.distributed as dist
import two_processes
from two_processes import LOSSES, ROWS, fill, masked, train

pytestmark = pytest.mark.skipif(
    not dist.is_available() or not dist.is_gloo_available(), reason="PyTorch without gloo"
)


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(two_processes.main, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_gradients_equal_those_of_one_process(ranks, name):
    wanted_losses, wanted, wanted_state = train(name, False, slice(0, ROWS))
    (losses, gradients, state), (other_losses, other_gradients, other_state) = (
        rank[name] for rank in ranks
    )
    for ours in (losses, other_losses):
        torch.testing.assert_close(ours, wanted_losses, rtol=1e-9, atol=1e-12)
    for ours in (gradients, other_gradients):  # averaged by DDP
        torch.testing.assert_close(ours, wanted, rtol=1e-8, atol=1e-11)
    for key, value in wanted_state.items():
        torch.testing.assert_close(state[key], value, rtol=1e-12, atol=1e-14)
        assert torch.equal(state[key], other_state[key])


def test_a_queue_takes_the_rows_of_all_ranks(ranks):
    wanted = fill(ft.SupportQueue(20, two_processes.FEATURES), slice(0, ROWS))
    for rank in ranks:
        assert wanted.keys() == rank["queue"].keys()
        for name, value in wanted.items():
            assert torch.equal(rank["queue"][name], value)


def test_processes_draw_what_one_would_have_drawn(ranks):
    assert torch.equal(torch.cat([rank["mask"] for rank in ranks]), masked(slice(0, ROWS)))


def test_gathered_columns_get_the_sum_of_all_ranks_gradients(ranks):
    both = torch.cat([torch.arange(6.0).reshape(3, 2) + 10 * rank for rank in range(2)])
    weights = 3 * torch.arange(12.0).reshape(6, 2)  # rank r multiplies the weights by r + 1
    for rank, wanted in zip(ranks, weights.chunk(2)):
        gathered, gradient = rank["all_gather"]
        assert torch.equal(gathered, both)
        assert torch.equal(gradient, wanted)


def test_uneven_batches_are_the_same_error_in_every_process(ranks):
    wanted = "all_gather: x: got 4, 3 rows in the processes, wanted the same number in each"
    assert [rank["uneven"] for rank in ranks] == [wanted, wanted]


def test_uneven_batches_of_three_processes(tmp_path):
    torch.multiprocessing.spawn(two_processes.uneven_of_three, args=(str(tmp_path),), nprocs=3)
    wanted = "all_gather: x: got 4, 3, 4 rows in the processes, wanted the same number in each"
    assert [torch.load(tmp_path / f"uneven_{rank}.pt") for rank in range(3)] == [wanted] * 3


def test_banks_begin_with_the_same_rows_whatever_the_seeds(ranks):
    for ours, others in zip(*(rank["seeded apart"] for rank in ranks)):
        assert torch.equal(ours, others)
        assert ours.norm(dim=1).count_nonzero() == 30


@pytest.mark.parametrize("name", LOSSES)
def test_a_process_alone_gathers_nothing(name):
    alone, wanted = (train(name, gather, slice(0, ROWS)) for gather in (True, False))
    torch.testing.assert_close(alone[:2], wanted[:2], rtol=1e-12, atol=1e-14)
