// The inputs and options of an augmentation, in a backend's memory, and its outputs other than
// features and gradients.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/queue/support_queue.hpp"
#include "support/operators/operand_input.hpp"
#include "support/operators/queue_memory.hpp"

namespace conformance {

/// Normally distributed numbers, different for every name.
inline tensor normal_numbers(const std::string& name, std::int64_t rows, std::int64_t cols) {
  unsigned seed = 1;
  for (const char letter : name) seed = 31 * seed + static_cast<unsigned char>(letter);
  std::mt19937 generator(seed);
  std::normal_distribution<double> draw;
  tensor made{.shape = {rows, cols}, .data = std::vector<double>(element_count({rows, cols}))};
  for (double& x : made.data) x = draw(generator);
  return made;
}

template <class Backend, class T>
class policy_inputs {
 public:
  static constexpr feaug::memory_space space = Backend::space;
  using input_type = operand_input<Backend, T>;
  using const_matrix = feaug::matrix_view<const T, space>;
  using matrix = feaug::matrix_view<T, space>;
  using operand_type = feaug::operand<T, 2, space>;
  using context_type = typename Backend::context;

  /// The features to augment are the input `x` of the case.
  explicit policy_inputs(arguments& given, const std::string& x = "x")
      : given_(given), context_(Backend::context_for(given)), x_name_(x), x_(input(x, 0, 0)) {
    const auto threads = given.option<int>("threads", 0);
    const auto tensor_cores = given.option("tensor_cores", false);
    if constexpr (requires { context_.threads; }) context_.threads = threads;
    if constexpr (requires { context_.tensor_cores; }) context_.tensor_cores = tensor_cores;
  }

  [[nodiscard]] arguments& given() { return given_; }
  [[nodiscard]] context_type& context() { return context_; }
  [[nodiscard]] feaug::random_key key() {
    return {.seed = given_.option<std::uint64_t>("seed", 0),
            .step = given_.option<std::uint64_t>("step", 0),
            .stream = static_cast<std::uint16_t>(given_.option<int>("stream", 0)),
            .row_offset = given_.option<feaug::index_t>("row_offset", 0)};
  }
  [[nodiscard]] const std::string& x_name() const { return x_name_; }
  [[nodiscard]] input_type& x() { return x_; }
  [[nodiscard]] feaug::index_t rows() const { return x_.input().shape.at(0); }
  [[nodiscard]] feaug::index_t cols() const { return x_.input().shape.at(1); }

  /// Features without a gradient, by default of x's shape.
  const_matrix constant(const std::string& name) { return constant(name, rows(), cols()); }
  const_matrix constant(const std::string& name, feaug::index_t rows, feaug::index_t cols) {
    return input(name, rows, cols).value();
  }
  /// Features with a gradient, of x's shape.
  operand_type operand(const std::string& name) {
    others_.push_back(&input(name, rows(), cols()));
    return operand_of(*others_.back(), name);
  }
  operand_type x_operand() { return operand_of(x_, x_name_); }

  /// Numbers computed from their position: `count` of them, by default one per row of x.
  using position = std::function<double(feaug::index_t)>;
  template <class Number>
  feaug::vector_view<Number, space> numbers(const std::string& name, const position& of = {},
                                            feaug::index_t count = -1) {
    provide(name, {count < 0 ? rows() : count}, of);
    return keep<number_input<Backend, Number, 1>>(given_, name).view();
  }
  template <class Number>
  feaug::matrix_view<Number, space> number_matrix(const std::string& name, feaug::index_t rows,
                                                  feaug::index_t cols, const position& of) {
    provide(name, {rows, cols}, of);
    return keep<number_input<Backend, Number, 2>>(given_, name).view();
  }
  /// A queue with the first `filled` rows of `support`.
  feaug::support_queue<T, space> queue(feaug::index_t capacity, feaug::index_t filled) {
    given_.provide("support", [&] { return normal_numbers("support", capacity, cols()); });
    auto queue = keep<queue_memory<Backend, T>>(given_.input("support", 2), filled).view();
    queue.ids = numbers<std::int64_t>(
        "queue.ids", [](feaug::index_t slot) { return static_cast<double>(slot % 3); }, capacity);
    return queue;
  }

  /// Additional outputs: one number per row, or several.
  template <class Number>
  feaug::vector_view<Number, space> written(const std::string& name) {
    return {written_array<Number>(name, {rows()}).data(), rows()};
  }
  template <class Number>
  feaug::matrix_view<Number, space> written(const std::string& name, feaug::index_t each) {
    return {written_array<Number>(name, {rows(), each}).data(), rows(), each};
  }

  [[nodiscard]] bool wants_gradient() const {
    return x_.wants_gradient() ||
           std::any_of(others_.begin(), others_.end(),
                       [](const input_type* one) { return one->wants_gradient(); });
  }
  /// For all inputs but x.
  void forget_gradients() {
    for (input_type* one : others_) one->forget_gradient();
  }
  void add_gradients(results& got, const std::string& route) const {
    for (const input_type* one : others_) one->add_gradient(got, route);
  }
  void add_written(results& got) const {
    for (const auto& add : written_) add(got);
  }

 private:
  /// Creates an object that lives as long as this one.
  template <class Kept, class... Arguments>
  Kept& keep(Arguments&&... of) {
    auto made = std::make_shared<Kept>(std::forward<Arguments>(of)...);
    kept_.push_back(made);
    return *made;
  }

  void provide(const std::string& name, const std::vector<std::int64_t>& shape,
               const position& of) {
    given_.provide(name, [&] {
      tensor made{.shape = shape, .data = {}};
      const auto count = static_cast<feaug::index_t>(element_count(shape));
      for (feaug::index_t i = 0; i < count; ++i) made.data.push_back(of(i));
      return made;
    });
  }

  input_type& input(const std::string& name, feaug::index_t rows, feaug::index_t cols) {
    given_.provide(name, [&] { return normal_numbers(name, rows, cols); });
    return keep<input_type>(given_, name);
  }

  /// If the case has padding, a stopped input also gets a destination, which must stay unchanged.
  operand_type operand_of(input_type& input, const std::string& name) {
    operand_type made = input.operand();
    if (input.wants_gradient() || !given_.is_strided()) return made;
    const std::vector<T> before(input.input().data.size(), rounded<T>(canary));
    auto& alone = keep<typename Backend::template array<T>>(before);
    made.gradient = view_of<Backend, 2, T>(alone, input.input());
    written_.push_back([&alone, name](results& got) {
      std::int64_t changed = 0;
      for (const T& now : alone.to_host()) changed += now == rounded<T>(canary) ? 0 : 1;
      got.add_counter("changes of the stopped grad_" + name, changed);
    });
    return made;
  }

  template <class Number>
  placed_array<Backend, Number>& written_array(const std::string& name,
                                               const std::vector<std::int64_t>& shape) {
    std::vector<Number> before(element_count(shape));
    if constexpr (std::is_same_v<Number, feaug::index_t>) {
      before = unwritten_indices(before.size());
    } else {
      before = unwritten<Number>(before.size());
    }
    auto& memory = keep<placed_array<Backend, Number>>(before, given_.misplaced(name));
    written_.push_back(
        [&memory, name, shape](results& got) { got.add(name, shape, memory.to_host()); });
    return memory;
  }

  arguments& given_;
  context_type context_;
  std::vector<std::shared_ptr<void>> kept_;
  std::vector<input_type*> others_;
  std::vector<std::function<void(results&)>> written_;
  std::string x_name_;
  input_type& x_;
};

}  // namespace conformance
