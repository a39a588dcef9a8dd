// The operators of torch.ops.feaug, without those of the losses (loss_operators.cpp). Python registers
// their autograd and fake formulas (_losses.py, _augmentations.py, _queue.py).
#include <algorithm>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "run_on.hpp"
#include "tensors.hpp"

namespace feaug_torch {
namespace {

/// gradient · by_loss for the gradient with respect to x. 16-bit gradients are multiplied in float,
/// since the factor of GradScaler may exceed their range.
Tensor scaled_operator(const Tensor& gradient, const Tensor& by_loss, const Tensor& /*x*/) {
  const std::int32_t type = dtype_of(gradient);
  const std::int32_t loss_type = dtype_of(by_loss);
  if (type == loss_type) return call_torch("aten::mul", "Tensor", gradient, by_loss);
  return to_dtype(call_torch("aten::mul", "Tensor", to_dtype(gradient, loss_type), by_loss), type);
}

// Augmentations.

void check_one_int64(const char* op, const char* name, const Tensor& x) {
  if (x.numel() == 1 && dtype_of(x) == aoti_torch_dtype_int64()) return;
  refuse(op, name, "got ", name_of_type(x), " of shape ", list_text(x.sizes()),
         ", wanted one int64");
}

draw_key key_of(const char* op, const Tensor& step, int64_t seed, int64_t stream,
                int64_t row_offset, const device_place& device) {
  check_one_int64(op, "step", step);
  if (!step.is_cpu()) check_place(op, "step", step, device);
  return {.seed = seed,
          .step = static_cast<const int64_t*>(step.const_data_ptr()),
          .step_on_host = step.is_cpu(),
          .stream = stream,
          .row_offset = row_offset};
}

held partner_of(const char* op, const optional_tensor& partner, const device_place& device) {
  return partner ? held::matrix(op, "partner", *partner, device) : held();
}

Tensor augment_operator(const Tensor& x, const optional_tensor& partner, const Tensor& step,
                        const std::string& kind, int64_t option, double first, double second,
                        int64_t seed, int64_t stream, int64_t row_offset) {
  const char* const op = kind.c_str();
  const device_place device = place_of(x);
  Tensor out = contiguous_like(x);
  const held from_x = held::matrix(op, "x", x, device);
  const held to_out = held::matrix(op, "out", out, device);
  const held mixed_with = partner_of(op, partner, device);
  const draw_key key = key_of(op, step, seed, stream, row_offset, device);
  run_on(op, x, [&](const caller& from) {
    augment(from, {kind, option, first, second}, key, from_x.view(), mixed_with.view(),
            to_out.view());
  });
  return out;
}

std::tuple<Tensor, Tensor> augment_backward_operator(
    const Tensor& by_out, const Tensor& x, const optional_tensor& partner, const Tensor& step,
    const std::string& kind, int64_t option, double first, double second, int64_t seed,
    int64_t stream, int64_t row_offset, const std::vector<bool>& wanted) {
  const char* const op = kind.c_str();
  if (wanted.size() != 2) refuse(op, "wanted", "got ", wanted.size(), " elements, wanted 2");
  const device_place device = place_of(x);
  const auto make = [&](bool wants, const Tensor& like) {
    return wants ? contiguous_like(like) : nothing_like(x);
  };
  Tensor by_x = make(wanted[0], x);
  Tensor by_partner = make(wanted[1] && partner, partner ? *partner : x);
  const auto side_of = [&](const held& value, const held& gradient) -> side {
    return {value.view(), gradient.view()};
  };
  const auto gradient = [&](bool wants, const Tensor& of) {
    return wants ? held::matrix(op, "gradient", of, device) : held();
  };
  const held from_x = held::matrix(op, "x", x, device);
  const held to_x = gradient(wanted[0], by_x);
  const held mixed_with = partner_of(op, partner, device);
  const held to_partner = gradient(wanted[1] && partner, by_partner);
  const held from_out = held::matrix(op, "grad_out", by_out, device);
  const draw_key key = key_of(op, step, seed, stream, row_offset, device);
  run_on(op, x, [&](const caller& from) {
    augment_backward(from, {kind, option, first, second}, key, side_of(from_x, to_x),
                     side_of(mixed_with, to_partner), from_out.view());
  });
  return {by_x, by_partner};
}

/// A copy of the step as an opaque operator, so that compilers do not replace it by the counter:
/// the backward pass needs this step after the counter has advanced.
Tensor drawn_step_operator(const Tensor& step) {
  return call_torch("aten::clone", "", step, std::nullopt);
}

Tensor l2_normalize_operator(const Tensor& x) {
  const device_place device = place_of(x);
  Tensor out = contiguous_like(x);
  const held from_x = held::matrix("l2_normalize", "x", x, device);
  const held to_out = held::matrix("l2_normalize", "out", out, device);
  run_on("l2_normalize", x,
         [&](const caller& from) { l2_normalize(from, from_x.view(), to_out.view()); });
  return out;
}

Tensor l2_normalize_backward_operator(const Tensor& by_out, const Tensor& x) {
  const device_place device = place_of(x);
  Tensor by_x = contiguous_like(x);
  const held from_x = held::matrix("l2_normalize", "x", x, device);
  const held to_x = held::matrix("l2_normalize", "gradient of x", by_x, device);
  const held from_out = held::matrix("l2_normalize", "grad_out", by_out, device);
  run_on("l2_normalize", x, [&](const caller& from) {
    l2_normalize_backward(from, {from_x.view(), to_x.view()}, from_out.view());
  });
  return by_x;
}

// Queue and momentum.

/// A tensor that is written in place.
buffer in_place(const char* op, const char* name, const Tensor& x, const device_place& device) {
  if (!x.is_contiguous())
    refuse(op, name, "got strides ", list_text(x.strides()),
           ", wanted a contiguous tensor, since it is written");
  return x.dim() == 2 ? held::matrix(op, name, x, device).view()
                      : held::vector(op, name, x, device).view();
}

int64_t* counter(const char* op, const char* name, const Tensor& x, const device_place& device) {
  check_place(op, name, x, device);
  check_one_int64(op, name, x);
  return static_cast<int64_t*>(x.data_ptr());
}

void enqueue_operator(const Tensor& rows, const Tensor& cursor, const Tensor& filled,
                      const optional_tensor& labels, const Tensor& batch,
                      const optional_tensor& batch_labels, bool normalize) {
  const device_place device = place_of(rows);
  if (rows.dim() != 2)
    refuse("enqueue", "rows", "got shape ", list_text(rows.sizes()),
           ", wanted 2 axes: slots, features");
  const held from_batch = held::matrix("enqueue", "batch", batch, device);
  const held from_labels =
      batch_labels ? held::vector("enqueue", "batch_labels", *batch_labels, device) : held();
  const support queue = {
      .rows = in_place("enqueue", "rows", rows, device),
      .cursor = counter("enqueue", "cursor", cursor, device),
      .filled = counter("enqueue", "filled", filled, device),
      .labels = labels ? in_place("enqueue", "labels", *labels, device) : buffer(),
      .normalize = normalize};
  run_on("enqueue", rows,
         [&](const caller& from) { enqueue(from, queue, from_batch.view(), from_labels.view()); });
}

std::tuple<Tensor, Tensor, Tensor> nearest_operator(const Tensor& rows,
                                                    const optional_tensor& cursor,
                                                    const optional_tensor& filled,
                                                    const Tensor& queries, int64_t k,
                                                    bool normalize) {
  const device_place device = place_of(queries);
  const held from_rows = held::matrix("nearest", "rows", rows, device);
  const held from_queries = held::matrix("nearest", "queries", queries, device);
  // Before the results are allocated; feaug compares k with the filled rows.
  if (k < 1 || k > from_rows.view().rows)
    refuse("nearest", "k", "got ", k, ", wanted from 1 to ", from_rows.view().rows);
  const int64_t count = from_queries.view().rows;
  const int64_t cols = from_rows.view().cols;
  const element_type type = from_queries.view().type;
  const int64_t by_row[] = {count, k, cols};
  const std::span<const int64_t> by_neighbour(by_row, 2);
  const Tensor values = empty(queries, by_row, dtype_of(queries));
  const Tensor indices = empty(queries, by_neighbour, aoti_torch_dtype_int64());
  const Tensor similarities = empty(queries, by_neighbour, dtype_of(queries));
  const support from = {.rows = from_rows.view(),
                        .cursor = cursor ? counter("nearest", "cursor", *cursor, device) : nullptr,
                        .filled = filled ? counter("nearest", "filled", *filled, device) : nullptr,
                        .labels = {},
                        .normalize = normalize};
  run_on("nearest", queries, [&](const caller& on) {
    nearest(on, from, from_queries.view(), k, {values.data_ptr(), type, count * k, cols, cols},
            {indices.data_ptr(), element_type::int64, count, k, k},
            {similarities.data_ptr(), type, count, k, k});
  });
  return {values, indices, similarities};
}

void momentum_update_operator(const std::vector<Tensor>& targets, const std::vector<Tensor>& online,
                              double momentum) {
  constexpr const char* op = "momentum_update";
  if (targets.size() != online.size())
    refuse(op, "online_params", "got ", online.size(), " tensors, wanted ", targets.size(),
           " as target_params");
  if (targets.empty()) return;
  const device_place device = place_of(targets[0]);
  std::vector<Tensor> alive;
  std::vector<buffer> to;
  std::vector<buffer> of;
  const auto flat = [&](const char* name, const Tensor& x) -> buffer {
    check_place(op, name, x, device);
    return {x.data_ptr(), type_of(op, name, x), x.numel(), 1, 1};
  };
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const Tensor& target = targets[i];
    if (!is_without_gaps(target))
      refuse(op, "target_params", "got strides ", list_text(target.strides()),
             ", wanted memory without gaps, since it is written");
    if (!std::ranges::equal(online[i].sizes(), target.sizes()))
      refuse(op, "online_params", "got shape ", list_text(online[i].sizes()), ", wanted ",
             list_text(target.sizes()), " as its target");
    // Both need the layout and type of the target; otherwise the online tensor is copied.
    Tensor source = online[i];
    if (!std::ranges::equal(source.strides(), target.strides()) ||
        dtype_of(source) != dtype_of(target)) {
      source = empty_strided(target, span_of(target.sizes()), span_of(target.strides()),
                             dtype_of(target));
      call_torch("aten::copy_", "", source, online[i], false);
    }
    to.push_back(flat("target_params", target));
    of.push_back(flat("online_params", alive.emplace_back(source)));
  }
  // One call for each run of tensors with the same type.
  for (std::size_t begin = 0; begin < to.size();) {
    std::size_t end = begin;
    while (end < to.size() && to[end].type == to[begin].type) ++end;
    run_on(op, targets[0], [&](const caller& from) {
      momentum_update(from, std::span(to).subspan(begin, end - begin),
                      std::span(of).subspan(begin, end - begin), momentum);
    });
    begin = end;
  }
}

/// As TORCH_BOX, which leaks arguments of type std::string.
template <auto function, class Type = decltype(function)>
struct boxed;
template <auto function, class Result, class... Arguments>
struct boxed<function, Result (*)(Arguments...)> {
  static void run(StableIValue* stack, std::uint64_t /*arguments*/, std::uint64_t /*results*/) {
    put(stack, call(stack, std::index_sequence_for<Arguments...>()));
  }

 private:
  template <std::size_t... I>
  static Result call(StableIValue* stack, std::index_sequence<I...> /*all*/) {
    std::tuple<std::remove_cvref_t<Arguments>...> arguments = {
        take<std::remove_cvref_t<Arguments>>(stack[I])...};
    return std::apply(function, arguments);
  }
  static void put(StableIValue* stack, const Tensor& result) {
    stack[0] = torch::stable::detail::from(result);
  }
  static void put(StableIValue* stack, const std::tuple<Tensor, Tensor>& results) {
    stack[0] = torch::stable::detail::from(std::get<0>(results));
    stack[1] = torch::stable::detail::from(std::get<1>(results));
  }
};

}  // namespace

#if !defined(FEAUG_PYTHON_CUDA)
STABLE_TORCH_LIBRARY(feaug, m) {
  m.def("scaled(Tensor gradient, Tensor by_loss, Tensor x) -> Tensor");
  m.def(
      "augment(Tensor x, Tensor? partner, Tensor step, str kind, int option, float first, float "
      "second, int seed, int stream, SymInt row_offset) -> Tensor");
  m.def(
      "augment_backward(Tensor by_out, Tensor x, Tensor? partner, Tensor step, str kind, int "
      "option, float first, float second, int seed, int stream, SymInt row_offset, bool[2] wanted) "
      "-> (Tensor, Tensor)");
  m.def("drawn_step(Tensor step) -> Tensor");
  m.def("l2_normalize(Tensor x) -> Tensor");
  m.def("l2_normalize_backward(Tensor by_out, Tensor x) -> Tensor");
  m.def(
      "enqueue(Tensor(a!) rows, Tensor(b!) cursor, Tensor(c!) filled, Tensor(d!)? labels, Tensor "
      "batch, Tensor? batch_labels, bool normalize) -> ()");
  m.def(
      "nearest(Tensor rows, Tensor? cursor, Tensor? filled, Tensor queries, int k, bool normalize) "
      "-> (Tensor, Tensor, Tensor)");
  m.def("momentum_update(Tensor(a!)[] targets, Tensor[] online, float momentum) -> ()");
  m.def("version() -> str");
  m.def("instructions() -> str");
}

STABLE_TORCH_LIBRARY_IMPL(feaug, CompositeExplicitAutograd, m) {
  m.impl("version", TORCH_BOX(&version));
  m.impl("instructions", TORCH_BOX(&instructions));
}

STABLE_TORCH_LIBRARY_IMPL(feaug, CPU, m) {
#else
STABLE_TORCH_LIBRARY_IMPL(feaug, CUDA, m) {
#endif
  m.impl("scaled", TORCH_BOX(&scaled_operator));
  m.impl("augment", boxed<&augment_operator>::run);
  m.impl("augment_backward", boxed<&augment_backward_operator>::run);
  m.impl("drawn_step", TORCH_BOX(&drawn_step_operator));
  m.impl("l2_normalize", TORCH_BOX(&l2_normalize_operator));
  m.impl("l2_normalize_backward", TORCH_BOX(&l2_normalize_backward_operator));
  m.impl("enqueue", TORCH_BOX(&enqueue_operator));
  m.impl("nearest", TORCH_BOX(&nearest_operator));
  m.impl("momentum_update", TORCH_BOX(&momentum_update_operator));
}

}  // namespace feaug_torch
