// Choices of a fuzz target, read from the bytes of its input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace fuzz {

/// Every choice takes the next bytes. Write one choice in a statement, or several in braces: compilers
/// evaluate the arguments of a function in different orders. When the input is used up, bytes are 0, so the first value of
/// each choice should be the simplest one.
class choices {
 public:
  explicit choices(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  /// low … high
  std::int64_t between(std::int64_t low, std::int64_t high) {
    const std::uint64_t count = static_cast<std::uint64_t>(high - low) + 1;
    const std::uint64_t drawn = count <= 256 ? byte() : count <= 65536 ? word(2) : word(8);
    return low + static_cast<std::int64_t>(drawn % count);
  }
  /// True for one value in `count`; false when the input is used up.
  bool one_in(std::int64_t count) { return between(0, count - 1) == count - 1; }

  template <class Value>
  Value one_of(std::initializer_list<Value> values) {
    return *std::next(values.begin(), between(0, static_cast<std::int64_t>(values.size()) - 1));
  }
  template <class Container>
  const auto& member_of(const Container& all) {
    return *std::next(all.begin(), between(0, static_cast<std::int64_t>(all.size()) - 1));
  }

  /// Any 64 bits.
  std::int64_t any_integer() { return static_cast<std::int64_t>(word(8)); }
  std::uint8_t byte() { return at_ < bytes_.size() ? bytes_[at_++] : std::uint8_t{0}; }
  /// Up to `most` bytes.
  std::string bytes(std::int64_t most) {
    std::string text(static_cast<std::size_t>(between(0, most)), '\0');
    for (char& letter : text) letter = static_cast<char>(byte());
    return text;
  }
  /// The rest of the input.
  std::string rest() {
    std::string text(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), bytes_.end());
    at_ = bytes_.size();
    return text;
  }

  /// Normally distributed numbers. They take four bytes, however many they are.
  std::vector<double> normal(std::size_t count) {
    std::mt19937 generator(static_cast<std::uint32_t>(word(4)));
    std::normal_distribution<double> draw;
    std::vector<double> numbers(count);
    for (double& x : numbers) x = draw(generator);
    return numbers;
  }
  /// A number at which formulas break: 0, tiny, huge, infinite, NaN.
  double extreme() {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    return one_of({0.0, -0.0, 1e-30, 1e-300, -1e15, 1e30, infinity, -infinity,
                   std::numeric_limits<double>::quiet_NaN()});
  }

 private:
  std::uint64_t word(int count) {
    std::uint64_t number = 0;
    for (int i = 0; i < count; ++i) number = number << 8U | byte();
    return number;
  }

  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

}  // namespace fuzz
