// Which sanitizer watches the tests. It makes runs many times slower, so some tests then omit what
// it cannot judge: the build without sanitizers compares the same numbers.
#pragma once

#if defined(__has_feature)
#define FEAUG_TEST_HAS_FEATURE(feature) __has_feature(feature)
#else
#define FEAUG_TEST_HAS_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || FEAUG_TEST_HAS_FEATURE(address_sanitizer)
#define FEAUG_TEST_ASAN
#endif
#if defined(__SANITIZE_THREAD__) || FEAUG_TEST_HAS_FEATURE(thread_sanitizer)
#define FEAUG_TEST_TSAN
#endif

namespace testing {

#if defined(FEAUG_TEST_TSAN)
inline constexpr bool is_thread_sanitized = true;
#else
inline constexpr bool is_thread_sanitized = false;
#endif
#if defined(FEAUG_TEST_ASAN)
inline constexpr bool is_sanitized = true;
#else
inline constexpr bool is_sanitized = is_thread_sanitized;
#endif

}  // namespace testing
