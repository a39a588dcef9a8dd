// Which sanitizer watches the tests. It makes runs many times slower, so some tests then omit what
// it cannot judge: the build without sanitizers compares the same numbers.
#pragma once

namespace testing {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool is_thread_sanitized = true;
#else
inline constexpr bool is_thread_sanitized = false;
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FEAUG_TEST_ADDRESS_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(FEAUG_TEST_ADDRESS_SANITIZED)
inline constexpr bool is_sanitized = true;
#else
inline constexpr bool is_sanitized = is_thread_sanitized;
#endif

}  // namespace testing
