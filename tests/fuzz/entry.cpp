// The function that libFuzzer and replay.cpp call for every input.
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <span>
#include <string>
#include <system_error>

#include "fuzz/target.hpp"

namespace fuzz {

std::string& input_name() {
  static std::string name;
  return name;
}

std::string& call() {
  static std::string description;
  return description;
}

void report(const std::string& finding) {
  std::cerr << "fuzz: " << (input_name().empty() ? "" : input_name() + ": ") << finding
            << (call().empty() ? "" : "\n      " + call()) << std::endl;
  std::abort();
}

const std::string& scratch_folder() {
  struct folder {
    std::string path = (std::filesystem::temp_directory_path() / "feaug_fuzz_XXXXXX").string();
    folder() {
      if (mkdtemp(path.data()) == nullptr) report(path + ": cannot be made");
    }
    folder(const folder&) = delete;
    folder& operator=(const folder&) = delete;
    ~folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  };
  static const folder own;
  return own.path;
}

}  // namespace fuzz

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::call().clear();
  fuzz::choices choose(std::span<const std::uint8_t>(data, size));
  try {
    fuzz::try_one(choose);
  } catch (const std::exception& unexpected) {
    fuzz::report(std::string("an unexpected exception: ") + unexpected.what());
  }
  return 0;
}
