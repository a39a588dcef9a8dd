// What the signature of a loss says, for the code that converts a framework's call to a loss_call.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "kernels.hpp"

namespace feaug_python {

/// The arguments of a loss, read from its row's signature.
class loss_signature {
 public:
  struct plain {
    std::string name;
    char type;  // a letter of loss_row::option_types
  };

  /// Throws std::logic_error if the signature does not agree with the row's function.
  explicit loss_signature(const loss_row& row);

  [[nodiscard]] const loss_row& row() const { return *row_; }
  /// On one line.
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// The names of the matrices, then of the numbers.
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] std::size_t matrices() const { return is_required_.size(); }
  [[nodiscard]] std::size_t numbers() const { return names_.size() - is_required_.size(); }
  [[nodiscard]] bool is_required(std::size_t matrix) const { return is_required_[matrix]; }
  [[nodiscard]] bool has_labels() const { return has_labels_; }
  /// The plain values of the numbers, and the options.
  [[nodiscard]] const std::vector<plain>& options() const { return options_; }

 private:
  const loss_row* row_;
  std::string text_;
  std::string name_;
  std::vector<std::string> names_;
  std::vector<bool> is_required_;
  bool has_labels_ = false;
  std::vector<plain> options_;
};

/// All losses.
std::span<const loss_signature> losses();

/// The rows for Python (_loss_table.py): signature, line break, documentation; separated by form feeds.
std::string loss_table();

}  // namespace feaug_python
