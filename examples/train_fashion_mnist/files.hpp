// File access: atomic writes, durable appends and whole-file reads.
#pragma once

#include <string>

namespace trainer {

/// Writes `bytes` to a temporary file beside `path`, syncs it, and renames it over `path`. Throws
/// user_error.
void write_atomically(const std::string& path, const std::string& bytes);

/// Appends `bytes` to the file and syncs it. Throws user_error.
void append_durably(const std::string& path, const std::string& bytes);

/// Throws user_error unless write_atomically could write to `path`. Leaves nothing behind.
void require_writable(const std::string& path);

/// Creates the folder if it is not there. Throws user_error unless write_atomically could write
/// into it.
void require_writable_folder(const std::string& folder);

/// Returns the file's contents. Throws user_error.
std::string read_file(const std::string& path);

}  // namespace trainer
