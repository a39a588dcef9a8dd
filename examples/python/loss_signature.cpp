#include "loss_signature.hpp"

#include <cctype>
#include <stdexcept>
#include <string_view>

namespace feaug_python {
namespace {

/// The text with each run of spaces and line breaks replaced by one space.
std::string on_one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (std::isspace(static_cast<unsigned char>(c)) == 0) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  return line;
}

/// The text between the parentheses, split at commas that are not within square brackets. No default
/// has parentheses.
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

char option_letter_of(std::string_view type) {
  if (type == "float" || type == "float | Tensor") return 'd';
  if (type.starts_with("Literal[")) return 's';
  return type == "int" || type == "bool" ? type[0] : '?';
}

}  // namespace

loss_signature::loss_signature(const loss_row& row)
    : row_(&row), text_(on_one_line(row.signature)), name_(text_.substr(0, text_.find('('))) {
  std::vector<std::string> numbers;
  std::string option_types;
  for (const std::string& parameter : parameters_of(text_)) {
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
      options_.push_back({name, option_letter_of(type)});
      option_types += options_.back().type;
    }
  }
  names_.insert(names_.end(), numbers.begin(), numbers.end());
  if (option_types != row.option_types)
    throw std::logic_error(name_ + ": the signature's options have the types " + option_types +
                           ", the function's have " + row.option_types);
}

std::span<const loss_signature> losses() {
  // Not destroyed at exit, when threads of the framework may still run.
  static const auto& all = *[] {
    auto* const read = new std::vector<loss_signature>;
    for (const auto& rows : {contrastive_losses(), agreement_losses()})
      for (const loss_row& row : rows) read->emplace_back(row);
    return read;
  }();
  return all;
}

std::string loss_table() {
  std::string all;
  for (const loss_signature& loss : losses()) {
    if (!all.empty()) all += "\f";
    all += loss.text() + "\n" + loss.row().documentation;
  }
  return all;
}

}  // namespace feaug_python
