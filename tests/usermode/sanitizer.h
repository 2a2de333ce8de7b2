/* AddressSanitizer reserves terabytes: no test under it can limit the address space. */
#ifndef SANITIZER_H
#define SANITIZER_H

#include <stdbool.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
static const bool address_sanitizer = true;
#else
static const bool address_sanitizer = false;
#endif

#endif
