// Which sanitizer this build has: gcc and clang say it in different ways.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define DQLITE_THREAD_SANITIZER 1
#elif defined(__SANITIZE_ADDRESS__)
#define DQLITE_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DQLITE_THREAD_SANITIZER 1
#elif __has_feature(address_sanitizer)
#define DQLITE_ADDRESS_SANITIZER 1
#endif
#endif
