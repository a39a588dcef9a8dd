#include "files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "user_error.hpp"

namespace trainer {
namespace {

std::string temporary(const std::string& path) { return path + ".partial"; }

/// A file descriptor that closes itself.
class descriptor {
 public:
  explicit descriptor(const std::string& path, int how = O_TRUNC)
      : number_(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | how, 0644)) {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  [[nodiscard]] bool valid() const { return number_ >= 0; }

  [[nodiscard]] bool write_all(const std::string& bytes) const {
    std::size_t written = 0;
    while (written < bytes.size()) {
      const ssize_t n = ::write(number_, bytes.data() + written, bytes.size() - written);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      written += static_cast<std::size_t>(n);
    }
    return ::fsync(number_) == 0;
  }

 private:
  int number_;
};

}  // namespace

void write_atomically(const std::string& path, const std::string& bytes) {
  const std::string partial = temporary(path);
  bool written = false;
  {
    const descriptor file(partial);
    written = file.valid() && file.write_all(bytes);
  }
  if (!written || std::rename(partial.c_str(), path.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
    throw user_error(path + ": cannot be written (" + why + ")");
  }
}

void append_durably(const std::string& path, const std::string& bytes) {
  const descriptor file(path, O_APPEND);
  if (!file.valid() || !file.write_all(bytes))
    throw user_error(path + ": cannot be written (" + std::strerror(errno) + ")");
}

void require_writable(const std::string& path) {
  if (std::filesystem::is_directory(path))
    throw user_error(path + ": cannot be written (it is a folder)");
  const std::string partial = temporary(path);
  if (!descriptor(partial).valid())
    throw user_error(path + ": cannot be written (" + std::strerror(errno) + ")");
  std::filesystem::remove(partial);
}

void require_writable_folder(const std::string& folder) {
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem) throw user_error(folder + ": cannot be made (" + problem.message() + ")");
  require_writable(folder + "/written");
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path)) throw user_error(path + ": cannot be opened");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace trainer
