// The operators of the losses in torch.ops.feaug, made from the rows of contrastive_losses() and
// agreement_losses().
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "run_on.hpp"
#include "tensors.hpp"

namespace feaug_torch {
namespace {

/// The text with each run of spaces and line breaks replaced by one space.
std::string on_one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (std::isspace(static_cast<unsigned char>(c)) == 0) {
      line += c;
    } else if (line.back() != ' ') {
      line += ' ';
    }
  }
  return line;
}

/// The text between its first and its last bracket, split at commas that are not within brackets.
std::vector<std::string> parameters_of(std::string_view signature) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (const char c : signature.substr(signature.find('(') + 1)) {
    if (c == '[') ++depth;
    if (c == ']') --depth;
    if (c == ')') break;
    if (c == ',' && depth == 0) {
      parts.emplace_back();
    } else if (c != ' ' || !parts.back().empty()) {
      parts.back() += c;
    }
  }
  return parts;
}

/// A loss as an operator. Its arguments are the matrices; a tensor or nothing for every number; the
/// labels; the plain options; `wanted`: which gradients of the former are requested; and `by_loss`,
/// which multiplies them. Its results are the loss and these gradients, of which those that are not
/// requested are empty.
class loss_operator {
 public:
  explicit loss_operator(const loss_row& row) : row_(row), signature_(on_one_line(row.signature)) {
    name_ = signature_.substr(0, signature_.find('('));
    std::vector<std::string> numbers;
    for (const std::string& parameter : parameters_of(signature_)) {
      if (parameter == "*") continue;
      const std::string name = parameter.substr(0, parameter.find(':'));
      const std::size_t begin = name.size() + 2;
      const std::string type = parameter.substr(begin, parameter.find(" = ") - begin);
      if (name == "labels") {
        has_labels_ = true;
      } else if (type == "Tensor" || type == "Tensor | None") {
        names_.push_back(name);
        is_required_.push_back(type == "Tensor");
      } else {
        if (type == "float | Tensor") numbers.push_back(name);
        add_option(name, type);
      }
    }
    numbers_ = numbers.size();
    names_.insert(names_.end(), numbers.begin(), numbers.end());
    if (option_types_ != row.option_types)
      throw std::logic_error(text("feaug_torch: ", name_,
                                  ": the signature's options have the types ", option_types_,
                                  ", the function's have ", row.option_types));
  }

  [[nodiscard]] const std::string& name() const { return name_; }

  /// The row for Python: signature, line break, documentation.
  [[nodiscard]] std::string description() const { return signature_ + "\n" + row_.documentation; }

  [[nodiscard]] std::string schema() const {
    std::string arguments;
    std::string results = "Tensor";
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (i < is_required_.size()) {
        arguments += text(is_required_[i] ? "Tensor " : "Tensor? ", names_[i], ", ");
      } else {
        arguments += text("Tensor? learnable_", names_[i], ", ");
      }
      results += ", Tensor";
    }
    if (has_labels_) arguments += "Tensor labels, ";
    return text(name_, "(", arguments, option_schema_, "bool[", names_.size(),
                "] wanted, Tensor? by_loss) -> (", results, ")");
  }

  /// Replaces the arguments on the stack by the results.
  void call(StableIValue* stack) const {
    const StableIValue* next = stack;
    std::vector<optional_tensor> tensors;  // matrices, numbers
    tensors.reserve(names_.size());
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const bool is_required = i < is_required_.size() && is_required_[i];
      tensors.push_back(is_required ? take<Tensor>(*next++) : take<optional_tensor>(*next++));
    }
    optional_tensor labels;
    if (has_labels_) labels = take<Tensor>(*next++);
    std::vector<option> options;
    options.reserve(option_types_.size());
    for (const char type : option_types_) options.push_back(option_of(type, next));
    const auto wanted = take<std::vector<bool>>(*next++);
    const auto by_loss = take<optional_tensor>(*next++);
    if (wanted.size() != names_.size())
      refuse(op(), "wanted", "got ", wanted.size(), " elements, wanted ", names_.size());
    const std::vector<Tensor> results = run(tensors, labels, options, wanted, by_loss);
    for (std::size_t i = 0; i < results.size(); ++i)
      stack[i] = torch::stable::detail::from(results[i]);
  }

 private:
  [[nodiscard]] const char* op() const { return name_.c_str(); }

  void add_option(const std::string& name, const std::string& type) {
    const bool is_number = type == "float" || type == "float | Tensor";
    const bool is_choice = type.starts_with("Literal[");
    if (!is_number && !is_choice && type != "int" && type != "bool")
      throw std::logic_error(text("feaug_torch: ", name_, ": ", name, ": got type ", type));
    option_types_ += is_number ? 'd' : is_choice ? 's' : type[0];
    option_schema_ += is_number ? "float" : is_choice ? "str" : type == "int" ? "SymInt" : "bool";
    option_schema_ += " " + name + ", ";
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
      if (!tensors[i]->defined()) refuse(op(), names_[i].c_str(), "got None, wanted a tensor");
      if (i >= is_required_.size() && tensors[i]->numel() != 1)
        refuse(op(), names_[i].c_str(), "got ", tensors[i]->numel(), " elements, wanted 1");
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
        memory.push_back(i < is_required_.size()
                             ? held::matrix(op(), names_[i].c_str(), x, device)
                             : held::vector(op(), names_[i].c_str(), x, device));
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
    const loss_call call = {.op = name_,
                            .names = names_,
                            .matrices = all.first(is_required_.size()),
                            .numbers = all.last(numbers_),
                            .options = options,
                            .labels = vector("labels", labels),
                            .by_loss = vector("by_loss", by_loss),
                            .loss = vector("loss", results[0])};
    run_on(op(), first, [&](const caller& from) { row_.run(from, call); });
    return results;
  }

  const loss_row& row_;
  std::string signature_;
  std::string name_;
  std::vector<std::string> names_;  // of the matrices, then of the numbers
  std::vector<bool> is_required_;   // of the matrices
  std::size_t numbers_ = 0;
  bool has_labels_ = false;
  std::string option_types_;
  std::string option_schema_;
};

const std::vector<loss_operator>& losses() {
  static const std::vector<loss_operator> all = [] {
    std::vector<loss_operator> made;
    for (const auto& rows : {contrastive_losses(), agreement_losses()})
      for (const loss_row& row : rows) made.emplace_back(row);
    return made;
  }();
  return all;
}

// The stable ABI takes a plain function for each operator.
template <std::size_t At>
void call_loss(StableIValue* stack, std::uint64_t /*arguments*/, std::uint64_t /*results*/) {
  losses()[At].call(stack);
}

template <std::size_t... At>
void implement_losses(torch::stable::detail::StableLibrary& m, std::index_sequence<At...> /*all*/) {
  if (losses().size() > sizeof...(At))
    throw std::logic_error("feaug_torch: more losses than implement_losses makes functions for");
  (void)((At < losses().size() && (m.impl(losses()[At].name().c_str(), call_loss<At>), true)) &&
         ...);
}

#if !defined(FEAUG_TORCH_CUDA)
/// The rows for Python, separated by form feeds.
std::string loss_table() {
  std::string all;
  for (const loss_operator& loss : losses()) all += (all.empty() ? "" : "\f") + loss.description();
  return all;
}
#endif

}  // namespace

#if !defined(FEAUG_TORCH_CUDA)
STABLE_TORCH_LIBRARY_FRAGMENT(feaug, m) {
  for (const loss_operator& loss : losses()) m.def(loss.schema().c_str());
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
