// Threads of the caller, which run an operator's parts: an OpenMP team, a framework's threads.
#pragma once

#include "feaug/header_begin.hpp"

#include <functional>

#include "feaug/core/function_ref.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// One worker's share of a part; the argument is the worker's number.
using worker_function = detail::function_ref<void(int)>;

/// executor(workers, work) calls work(number) for some or all of 0 … workers − 1, at least once in all
/// and each number at most once at a time, on any threads, and returns when all these calls have
/// returned. Any number of them do the whole work. `work` does not throw. Example, with OpenMP:
///
///     ctx.executor = [](int workers, const feaug::worker_function& work) {
///     #pragma omp parallel num_threads(workers)
///       work(omp_get_thread_num());
///     };
///
/// A framework's threads wait awake after its own operators, on the cores that feaug's threads need:
/// beside it, its own threads are faster.
using executor = std::function<void(int workers, const worker_function& work)>;

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
