#include "command_line.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>

namespace conformance {
namespace {

std::string joined_backends() {
  std::string text;
  for (const std::string& name : backend_names()) text += (text.empty() ? "" : "|") + name;
  return text;
}

std::string checked_backend(const std::string& name) {
  const std::vector<std::string> names = backend_names();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    throw std::invalid_argument("--backend: got " + name + ", wanted " + joined_backends());
  }
  return name;
}

dtype checked_dtype(const std::string& name) {
  if (name == "float64") return dtype::float64;
  if (name == "float32") return dtype::float32;
  throw std::invalid_argument("--dtype: got " + name + ", wanted float64 or float32");
}

}  // namespace

std::string usage() {
  return "usage: feaug_conformance [--backend " + joined_backends() +
         "] [--dtype float64|float32] FILE...\n"
         "Runs the cases of the files against the library. Exit status: 0 all passed, 1 not, 2 "
         "usage, 77 skipped: this machine cannot run the backend.\n";
}

command_line read_command_line(const std::vector<std::string>& words) {
  command_line line;
  bool options_end = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string name = words[i];
    if (options_end || name.size() < 2 || name[0] != '-') {
      line.files.push_back(name);
      continue;
    }
    if (name == "--") {
      options_end = true;
      continue;
    }
    if (name == "--help" || name == "-h") {
      line.help = true;
      return line;
    }
    std::string value;
    const std::size_t equals = name.find('=');
    const std::string option = name.substr(0, equals);
    if (option != "--backend" && option != "--dtype") {
      throw std::invalid_argument("no option " + option);
    }
    if (equals != std::string::npos) {
      value = name.substr(equals + 1);
    } else if (i + 1 < words.size()) {
      value = words[++i];
    } else {
      throw std::invalid_argument(option + " needs a value");
    }
    if (option == "--backend") line.backend = checked_backend(value);
    if (option == "--dtype") line.type = checked_dtype(value);
  }
  if (line.files.empty()) throw std::invalid_argument("no FILE was given");
  return line;
}

}  // namespace conformance
