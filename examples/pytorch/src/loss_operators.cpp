// The operators of the losses in torch.ops.feaug, made from the rows of contrastive_losses() and
// agreement_losses().
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loss_signature.hpp"
#include "run_on.hpp"
#include "tensors.hpp"

namespace feaug_torch {
namespace {

/// A loss as an operator. Its arguments are the matrices; a tensor or nothing for every number; the
/// labels; the plain options; `wanted`: which gradients of the former are requested; and `by_loss`,
/// which multiplies them. Its results are the loss and these gradients, of which those that are not
/// requested are empty.
class loss_operator {
 public:
  explicit loss_operator(const loss_signature& signature) : signature_(signature) {}

  [[nodiscard]] const std::string& name() const { return signature_.name(); }

  [[nodiscard]] std::string schema() const {
    std::string arguments;
    std::string results = "Tensor";
    for (std::size_t i = 0; i < names().size(); ++i) {
      if (i < signature_.matrices()) {
        arguments += text(signature_.is_required(i) ? "Tensor " : "Tensor? ", names()[i], ", ");
      } else {
        arguments += text("Tensor? learnable_", names()[i], ", ");
      }
      results += ", Tensor";
    }
    if (signature_.has_labels()) arguments += "Tensor labels, ";
    for (const auto& option : signature_.options())
      arguments += text(type_in_schema(option.type), " ", option.name, ", ");
    return text(name(), "(", arguments, "bool[", names().size(), "] wanted, Tensor? by_loss) -> (",
                results, ")");
  }

  /// Replaces the arguments on the stack by the results.
  void call(StableIValue* stack) const {
    const StableIValue* next = stack;
    std::vector<optional_tensor> tensors;  // matrices, numbers
    tensors.reserve(names().size());
    for (std::size_t i = 0; i < names().size(); ++i) {
      const bool is_required = i < signature_.matrices() && signature_.is_required(i);
      tensors.push_back(is_required ? take<Tensor>(*next++) : take<optional_tensor>(*next++));
    }
    optional_tensor labels;
    if (signature_.has_labels()) labels = take<Tensor>(*next++);
    std::vector<option> options;
    options.reserve(signature_.options().size());
    for (const auto& wants : signature_.options()) options.push_back(option_of(wants.type, next));
    const auto wanted = take<std::vector<bool>>(*next++);
    const auto by_loss = take<optional_tensor>(*next++);
    if (wanted.size() != names().size())
      refuse(op(), "wanted", "got ", wanted.size(), " elements, wanted ", names().size());
    const std::vector<Tensor> results = run(tensors, labels, options, wanted, by_loss);
    for (std::size_t i = 0; i < results.size(); ++i)
      stack[i] = torch::stable::detail::from(results[i]);
  }

 private:
  [[nodiscard]] const char* op() const { return name().c_str(); }

  [[nodiscard]] const std::vector<std::string>& names() const { return signature_.names(); }

  static const char* type_in_schema(char type) {
    if (type == 'd') return "float";
    if (type == 'i') return "SymInt";
    return type == 'b' ? "bool" : "str";
  }

  static option option_of(char type, const StableIValue*& next) {
    option taken;
    if (type == 'd') taken.number = take<double>(*next++);
    if (type == 'i') taken.whole = take<std::int64_t>(*next++);
    if (type == 'b') taken.flag = take<bool>(*next++);
    if (type == 's') taken.choice = take<std::string>(*next++);
    return taken;
  }

  [[nodiscard]] std::vector<Tensor> run(const std::vector<optional_tensor>& tensors,
                                        const optional_tensor& labels,
                                        const std::vector<option>& options,
                                        const std::vector<bool>& wanted,
                                        const optional_tensor& by_loss) const {
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (!tensors[i]) continue;
      if (!tensors[i]->defined()) refuse(op(), names()[i].c_str(), "got None, wanted a tensor");
      if (i >= signature_.matrices() && tensors[i]->numel() != 1)
        refuse(op(), names()[i].c_str(), "got ", tensors[i]->numel(), " elements, wanted 1");
    }
    const Tensor& first = *tensors[0];
    const device_place device = place_of(first);
    const bool in_double = dtype_of(first) == aoti_torch_dtype_float64();
    std::vector<Tensor> results;
    results.reserve(1 + tensors.size());
    results.push_back(
        empty(first, {}, in_double ? aoti_torch_dtype_float64() : aoti_torch_dtype_float32()));
    std::vector<held> memory;
    memory.reserve(2 * tensors.size() + 3);
    std::vector<side> sides(tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (!tensors[i]) {
        results.push_back(nothing_like(first));
        continue;
      }
      const auto hold = [&](const Tensor& x) {
        memory.push_back(i < signature_.matrices()
                             ? held::matrix(op(), names()[i].c_str(), x, device)
                             : held::vector(op(), names()[i].c_str(), x, device));
        return memory.back().view();
      };
      sides[i].value = hold(*tensors[i]);
      results.push_back(wanted[i] ? contiguous_like(*tensors[i]) : nothing_like(*tensors[i]));
      if (wanted[i]) sides[i].gradient = hold(results.back());
    }
    const auto vector = [&](const char* name, const optional_tensor& x) {
      return x ? memory.emplace_back(held::vector(op(), name, *x, device)).view() : buffer();
    };
    const std::span<const side> all(sides);
    const loss_call call = {.op = name(),
                            .names = names(),
                            .matrices = all.first(signature_.matrices()),
                            .numbers = all.last(signature_.numbers()),
                            .options = options,
                            .labels = vector("labels", labels),
                            .by_loss = vector("by_loss", by_loss),
                            .loss = vector("loss", results[0])};
    run_on(op(), first, [&](const caller& from) { signature_.row().run(from, call); });
    return results;
  }

  const loss_signature& signature_;
};

const std::vector<loss_operator>& operators() {
  // Not destroyed at exit, when threads of PyTorch may still run.
  static const auto& all = *new std::vector<loss_operator>(losses().begin(), losses().end());
  return all;
}

// The stable ABI takes a plain function for each operator.
template <std::size_t At>
void call_loss(StableIValue* stack, std::uint64_t /*arguments*/, std::uint64_t /*results*/) {
  operators()[At].call(stack);
}

template <std::size_t... At>
void implement_losses(torch::stable::detail::StableLibrary& m, std::index_sequence<At...> /*all*/) {
  if (operators().size() > sizeof...(At))
    throw std::logic_error("feaug_torch: more losses than implement_losses makes functions for");
  (void)((At < operators().size() &&
          (m.impl(operators()[At].name().c_str(), call_loss<At>), true)) &&
         ...);
}

}  // namespace

#if !defined(FEAUG_PYTHON_CUDA)
STABLE_TORCH_LIBRARY_FRAGMENT(feaug, m) {
  for (const loss_operator& loss : operators()) m.def(loss.schema().c_str());
  m.def("loss_table() -> str");
}
STABLE_TORCH_LIBRARY_IMPL(feaug, CompositeExplicitAutograd, m) {
  m.impl("loss_table", TORCH_BOX(&loss_table));
}

STABLE_TORCH_LIBRARY_IMPL(feaug, CPU, m) {
#else
STABLE_TORCH_LIBRARY_IMPL(feaug, CUDA, m) {
#endif
  implement_losses(m, std::make_index_sequence<64>());
}

}  // namespace feaug_torch
