// The reader of Fashion-MNIST's idx files, with damaged and arbitrary files. It returns images and
// labels that fit together, or throws user_error.
#include "dataset.hpp"

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "fuzz/edits.hpp"
#include "fuzz/target.hpp"
#include "user_error.hpp"

namespace {

constexpr std::int64_t pixels = 28 * 28;

void append_number(std::string& bytes, std::int64_t number) {
  for (const int shift : {24, 16, 8, 0})
    bytes += static_cast<char>(static_cast<std::uint64_t>(number) >> static_cast<unsigned>(shift));
}

std::string images_of(std::int64_t count) {
  std::string bytes;
  for (const std::int64_t number : {std::int64_t{0x803}, count, std::int64_t{28}, std::int64_t{28}})
    append_number(bytes, number);
  for (std::int64_t i = 0; i < count * pixels; ++i) bytes += static_cast<char>(i % 251);
  return bytes;
}

std::string labels_of(std::int64_t count) {
  std::string bytes;
  append_number(bytes, 0x801);
  append_number(bytes, count);
  for (std::int64_t i = 0; i < count; ++i) bytes += static_cast<char>(i % 10);
  return bytes;
}

/// Writes a file as it is, or compressed and perhaps damaged afterwards. Returns whether it has the
/// bytes.
bool write(const std::string& name, const std::string& bytes, fuzz::choices& choose) {
  const std::string path = fuzz::scratch_folder() + "/" + name;
  std::filesystem::remove(path);
  std::filesystem::remove(path + ".gz");
  if (!choose.one_in(3)) {
    std::ofstream(path, std::ios::binary) << bytes;
    return true;
  }
  gzFile_s* file = gzopen((path + ".gz").c_str(), "wb");
  fuzz::require(file != nullptr, path + ": cannot be written");
  const auto size = static_cast<unsigned>(bytes.size());
  const bool is_written = size == 0 || gzwrite(file, bytes.data(), size) == static_cast<int>(size);
  fuzz::require(gzclose(file) == Z_OK && is_written, path + ": cannot be written");
  if (!choose.one_in(2)) return true;
  std::string packed(std::filesystem::file_size(path + ".gz"), '\0');
  std::ifstream(path + ".gz", std::ios::binary)
      .read(packed.data(), static_cast<std::streamsize>(packed.size()));
  const std::string damaged = fuzz::edited(packed, choose);
  std::ofstream(path + ".gz", std::ios::binary) << damaged;
  return damaged == packed;
}

/// Images and labels in range; of files that are not damaged, those from `first` on.
void check(const trainer::dataset& all, bool is_damaged, std::int64_t first) {
  const std::int64_t count = all.images.rows();
  fuzz::require(all.images.cols() == pixels, "images have another size");
  fuzz::require(count == static_cast<std::int64_t>(all.labels.size()),
                "not one label for each image");
  for (std::int64_t i = 0; i < count * pixels; ++i) {
    const float pixel = all.images.data()[i];
    fuzz::require(pixel >= 0 && pixel <= 1, "a pixel outside 0 to 1");
    fuzz::require(is_damaged || pixel == static_cast<float>((first * pixels + i) % 251) / 255.0F,
                  "another pixel");
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t label = all.labels[static_cast<std::size_t>(i)];
    fuzz::require(label >= 0 && label <= 9, "a label outside 0 to 9");
    fuzz::require(is_damaged || label == (first + i) % 10, "another label");
  }
}

}  // namespace

void fuzz::try_one(choices& choose) {
  const std::int64_t images = choose.between(0, 12);
  const std::int64_t train_size = choose.one_in(4) ? choose.between(0, 16) : images / 2;
  const auto held_out =
      choose.one_of({trainer::evaluation_split::test, trainer::evaluation_split::validation});
  bool is_damaged = false;
  for (const std::string set : {"train", "t10k"}) {
    const std::string whole[] = {images_of(images), labels_of(images)};
    const char* const names[] = {"-images-idx3-ubyte", "-labels-idx1-ubyte"};
    for (const int kind : {0, 1}) {
      std::string bytes = edited(whole[kind], choose);
      if (choose.one_in(16)) bytes = choose.bytes(64);
      const bool is_written = write(set + names[kind], bytes, choose);
      is_damaged = is_damaged || bytes != whole[kind] || !is_written;
    }
  }
  const std::int64_t validation = images / 6;
  const bool is_enough = held_out == trainer::evaluation_split::test
                             ? train_size <= images && images >= 1
                             : validation >= 1 && train_size <= images - validation;
  bool is_read = true;
  try {
    const trainer::fashion_mnist all =
        trainer::load_fashion_mnist(scratch_folder(), train_size, held_out);
    check(all.train, is_damaged, 0);
    const bool is_test = held_out == trainer::evaluation_split::test;
    check(all.held_out, is_damaged, is_test ? 0 : images - validation);
    require(all.train.images.rows() == train_size, "another number of training images");
  } catch (const trainer::user_error& refused) {
    is_read = false;
    require(std::string(refused.what()).size() > 8, "a message that says nothing");
  }
  if (!is_damaged) require(is_read == is_enough, "good files are refused, or too few images read");
}
