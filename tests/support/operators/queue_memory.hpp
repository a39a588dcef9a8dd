// A support queue with its own memory.
#pragma once

#include <utility>
#include <vector>

#include "feaug/queue/support_queue.hpp"
#include "support/operators/arrays.hpp"

namespace conformance {

template <class Backend, class T>
class queue_memory {
 public:
  /// An empty queue. Rows that are not filled are 0, as in the case files.
  queue_memory(feaug::index_t capacity, feaug::index_t dim, bool normalize)
      : queue_memory(std::vector<T>(element_count({capacity, dim})), capacity, dim, 0, normalize) {}

  /// A full queue with the rows of `support`, unchanged.
  explicit queue_memory(const tensor& support) : queue_memory(support, support.shape.at(0)) {}

  /// A queue with the first `filled` rows of `support`; the other rows are NaN.
  queue_memory(const tensor& support, feaug::index_t filled)
      : queue_memory(first_rows(support, filled), support.shape.at(0), support.shape.at(1), filled,
                     false) {}

  [[nodiscard]] feaug::support_queue<T, Backend::space> view() {
    return {.storage = {storage_.data(), capacity_, dim_},
            .cursor = cursor_.data(),
            .size = size_.data(),
            .normalize = normalize_};
  }
  [[nodiscard]] std::vector<T> storage() const { return storage_.to_host(); }
  [[nodiscard]] feaug::index_t cursor() const { return cursor_.to_host().front(); }
  [[nodiscard]] feaug::index_t size() const { return size_.to_host().front(); }

 private:
  static std::vector<T> first_rows(const tensor& support, feaug::index_t filled) {
    std::vector<T> rows = rounded<T>(support);
    const auto kept = static_cast<std::size_t>(filled * support.shape.at(1));
    for (std::size_t i = kept; i < rows.size(); ++i) rows[i] = unwritten<T>(1).front();
    return rows;
  }

  queue_memory(std::vector<T> rows, feaug::index_t capacity, feaug::index_t dim,
               feaug::index_t size, bool normalize)
      : storage_(std::move(rows)),
        cursor_({capacity > 0 ? size % capacity : 0}),
        size_({size}),
        capacity_(capacity),
        dim_(dim),
        normalize_(normalize) {}

  typename Backend::template array<T> storage_;
  typename Backend::template array<feaug::index_t> cursor_;
  typename Backend::template array<feaug::index_t> size_;
  feaug::index_t capacity_;
  feaug::index_t dim_;
  bool normalize_;
};

}  // namespace conformance
