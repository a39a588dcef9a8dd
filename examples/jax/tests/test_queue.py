"""enqueue and nearest against plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from feaug_jax import enqueue, nearest, support_queue

FIRST_IN_ITS_PLACE = jax.jit(enqueue, donate_argnums=0)


def unit(x):
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def test_the_queue_wraps(rows):
    queue, wanted, written = support_queue(10, 4, jnp.float64), np.zeros((10, 4)), 0
    for count in (4, 0, 5, 7, 10, 1):
        batch = rows(count, 4)
        queue = enqueue(queue, batch)
        for row in unit(batch):
            wanted[written % 10] = row
            written += 1
        np.testing.assert_allclose(queue.rows, wanted, rtol=1e-15, atol=1e-15)
        assert queue.cursor == written % 10
        assert queue.size == min(written, 10)
        assert queue.cursor.dtype == queue.size.dtype == jnp.int32


def test_of_a_batch_larger_than_the_queue_the_last_rows_stay(rows):
    batch = rows(25, 4)
    at_once = enqueue(enqueue(support_queue(10, 4, jnp.float64), batch[:3]), batch[3:])
    by_one = support_queue(10, 4, jnp.float64)
    for row in batch:
        by_one = enqueue(by_one, row[None])
    jax.tree.map(np.testing.assert_array_equal, at_once, by_one)


def test_a_queue_that_is_kept_does_not_change(rows):
    queue = enqueue(support_queue(8, 4, jnp.float64), rows(3, 4))
    before = jax.tree.map(np.array, queue)
    jax.block_until_ready(enqueue(queue, rows(3, 4)))
    jax.block_until_ready(jax.jit(enqueue)(queue, rows(3, 4)))
    jax.tree.map(np.testing.assert_array_equal, queue, before)


def test_a_donated_queue_is_not_copied(rows):
    queue = support_queue(1000, 64, jnp.float32)
    memory = queue.rows.unsafe_buffer_pointer()
    for _ in range(3):
        given = queue
        queue = FIRST_IN_ITS_PLACE(given, rows(300, 64, jnp.float32))
        assert queue.rows.unsafe_buffer_pointer() == memory
        assert given.rows.is_deleted()


def test_a_step_that_reads_the_queue_first_copies_nothing(rows):
    def step(queue, batch):
        found = nearest(queue, batch).values
        return enqueue(queue, batch, after=found), jnp.sum(found)

    def steps(queue, batches):
        return jax.lax.scan(step, queue, batches)

    batches = rows(4 * 30, 64, jnp.float32).reshape(4, 30, 64)
    for function, batch in ((step, batches[0]), (steps, batches)):
        queue = enqueue(support_queue(1000, 64, jnp.float32), rows(10, 64, jnp.float32))
        wanted, _ = function(queue, batch)
        compiled = jax.jit(function, donate_argnums=0).lower(queue, batch).compile()
        assert compiled.memory_analysis().temp_size_in_bytes < queue.rows.nbytes / 4
        memory = queue.rows.unsafe_buffer_pointer()
        after, _ = compiled(queue, batch)
        assert after.rows.unsafe_buffer_pointer() == memory
        jax.tree.map(np.testing.assert_array_equal, after, wanted)


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32, jnp.bfloat16, jnp.float16])
def test_nearest_is_exact(rows, dtype):
    queue = enqueue(support_queue(200, 24, dtype), rows(150, 24, dtype))
    queries = rows(33, 24, dtype)
    found = nearest(queue, queries, k=5)
    stored = np.asarray(queue.rows[:150], np.float64)
    wide = np.asarray(queries, np.float64)
    products = wide @ stored.T
    order = np.argsort(-products, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(found.indices, order)
    np.testing.assert_array_equal(found.values, queue.rows[order])
    cosines = np.take_along_axis(products, order, 1) / np.linalg.norm(wide, axis=1, keepdims=True)
    tolerance = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(
        np.asarray(found.similarities, np.float64), cosines, rtol=tolerance, atol=tolerance
    )


def test_without_k_there_is_no_axis_of_neighbours(rows):
    queue = enqueue(support_queue(20, 6, jnp.float64), rows(20, 6))
    queries = rows(7, 6)
    one, first = nearest(queue, queries), nearest(queue, queries, k=1)
    assert first.values.shape == (7, 1, 6)
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, y[:, 0]), one, first)


def test_of_equal_rows_the_lowest_slot_is_found(rows):
    row = rows(1, 6)
    queue = enqueue(support_queue(9, 6, jnp.float64), jnp.concatenate([rows(2, 6), *[row] * 5]))
    np.testing.assert_array_equal(nearest(queue, 3 * row, k=5).indices, [[2, 3, 4, 5, 6]])


def test_slots_that_are_not_filled_are_not_found(rows):
    queue = enqueue(support_queue(50, 6, jnp.float64), -jnp.ones((3, 6)))
    queries = jnp.ones((4, 6))
    assert np.all(nearest(queue, queries).indices < 3)


def test_nan(rows):
    queue = enqueue(support_queue(5, 3, jnp.float64), rows(3, 3).at[1].set(jnp.nan))
    found = nearest(queue, rows(2, 3).at[0, 0].set(jnp.nan), k=3)
    assert found.indices[0].tolist() == [-1, -1, -1]
    assert found.indices[1, 2] == 1 and np.isnan(found.similarities[1, 2])


def test_nothing_has_a_gradient(rows):
    queue = enqueue(support_queue(20, 6, jnp.float64), rows(20, 6))

    def loss(z):
        after = enqueue(queue, z)
        return jnp.sum(nearest(queue, z).values * z) + jnp.sum(after.rows)

    z = rows(4, 6)
    for function in (loss, jax.jit(loss)):
        np.testing.assert_array_equal(jax.grad(function)(z), nearest(queue, z).values)


def test_vmap(rows):
    queues = [enqueue(support_queue(8, 4, jnp.float64), rows(5, 4)) for _ in range(3)]
    batch = rows(3 * 6, 4).reshape(3, 6, 4)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *queues)
    after = jax.vmap(enqueue)(stacked, batch)
    found = jax.vmap(nearest)(stacked, batch)
    for i, queue in enumerate(queues):
        one = (enqueue(queue, batch[i]), nearest(queue, batch[i]))
        jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[i], y), (after, found), one)


def test_no_queries(rows):
    queue = enqueue(support_queue(8, 4, jnp.float64), rows(5, 4))
    assert nearest(queue, rows(0, 4)).values.shape == (0, 4)


def test_errors(rows, refuses):
    empty = support_queue(8, 4, jnp.float64)
    queue = enqueue(empty, rows(5, 4))
    refuses(lambda: nearest(empty, rows(2, 4)), "queue: got no filled rows, wanted at least one")
    refuses(
        lambda: nearest(queue, rows(2, 4), k=6), "nearest: k: got 6, wanted a number from 1 to 5"
    )
    refuses(lambda: nearest(queue, rows(2, 3)), "queries: got 3 columns, wanted 4")
    refuses(lambda: enqueue(queue, rows(2, 3)), "batch: got 3 columns, wanted 4")
    refuses(lambda: enqueue(queue._replace(cursor=jnp.int32(-1)), rows(2, 4)), "cursor: got -1")
    refuses(
        lambda: nearest(queue, rows(2, 4), k=0), "k: got 0, wanted at least 1", error=ValueError
    )
    refuses(
        lambda: enqueue(queue, rows(2, 4, jnp.float32)),
        "rows: got float32, wanted float64 as queue.rows",
        error=TypeError,
    )
    for queue in (queue._replace(size=jnp.int64(5)), queue._replace(size=jnp.ones(1, jnp.int32))):
        refuses(
            lambda: enqueue(queue, rows(2, 4)),
            "enqueue: queue.size: got",
            "wanted one int32",
            error=TypeError,
        )
